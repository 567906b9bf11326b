"""What a task learns from training rows beside the weights, and whether private training may use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidegate.data.source import PREFIX, Source
from tidegate.errors import InputError
from tidegate.records import DataRecord

ROW = "row"  # protects each row by itself
OFF = ("baselines that learn from training rows", "the hash of the data, what describes them, and notes on them")


@dataclass(frozen=True)
class Fitted:
    """Something that a task has learnt from its training rows beside the weights.

    Attributes:
        name: as ``--public`` takes it, such as ``"vocabulary"``.
        what: what it is, in words.
        fix: how it is given instead; empty where nothing gives it.
    """

    name: str
    what: str
    fix: str = ""


def is_private(setting: Any) -> bool:
    """Whether these settings train with a guarantee, of which nothing else may be learnt from training rows."""
    return getattr(setting, "epsilon", None) is not None


def owner_of(setting: Any) -> str | None:
    """The column whose values say whom a row belongs to; None where each row is protected by itself."""
    column: str = getattr(setting, "protect", ROW)
    return None if column == ROW or not is_private(setting) else column


def accepted(fitted: Sequence[Fitted], public: Sequence[str]) -> tuple[str, ...]:
    """What the settings accept as public, of all that a task has learnt.

    Args:
        fitted: ``Task.fitted``.
        public: names that the settings accept as public.

    Returns:
        The names that the statement has to tell, in the order of ``fitted``.

    Raises:
        InputError: something is neither given nor public, or a name stands for nothing that was learnt.
    """
    known = [one.name for one in fitted]
    strange = next((name for name in public if name not in known), None)
    if strange is not None:
        raise InputError(
            "PRIVATE_PUBLIC",
            f"public={strange!r} names nothing that is learnt from the training rows",
            fix=f"this task learns {', '.join(known)}" if known else "leave it out: this task learns nothing else",
        )
    left = [one for one in fitted if one.name not in public]
    if left:
        ways = [f"{one.fix} gives the {one.name}" for one in left if one.fix]
        ways.append("--public-data FILE learns them from rows that are no secret")
        accept = f"if they are no secret, accept them with --public {','.join(one.name for one in fitted)}"
        raise InputError(
            "PRIVATE_FITTED",
            f"these are learnt from the training rows without noise: {'; '.join(_said(one) for one in left)}",
            fix="; ".join([*ways, accept]),
        )
    return tuple(known)


def learnt_from(kind: Any, setting: Any) -> Any:
    """The encoding that a task learns from the public data that its settings name.

    Args:
        kind: the class of the task.
        setting: of a private training.

    Raises:
        InputError: the data cannot be used.
    """
    learning = replace(setting, public_data=None, public=kind.accepts)
    return kind.load(setting.public_data, learning).encoding


def check_in_memory(source: Source, given: Any) -> None:
    """Refuse public data where what is learnt lies in a cache, with the rows.

    Args:
        source: of the training.
        given: what was learnt from public data, if there are any.

    Raises:
        InputError: training reads its rows from the disk.
    """
    if given is not None and source.cached:
        raise InputError(
            "PRIVATE_LARGE",
            f"public_data= is for rows in memory, and training reads {source.title} from the disk",
            fix="accept what is learnt with public=, or leave out cache=",
        )


def told(task: Any) -> tuple[str, ...]:
    """What a private model does without, and what it learnt from public data, for its notes."""
    learnt = ", ".join(one.name for one in task.learns)
    given = (f"{learnt}: learnt from {task.setting.public_data}, which is public",) if task.given is not None else ()
    return (*given, f"private training does without: {'; '.join(task.off)}")


def withheld(data: DataRecord, source: Source) -> DataRecord:
    """What a private model says of its data: their name alone. A hash would tell any change, and counts most of them.

    Args:
        data: of the training.
        source: data that come with the package are no secret, but for notes on them.
    """
    kept = replace(data, warnings=())
    return kept if source.address.startswith(PREFIX) else replace(kept, hash="", description="", split="")


def _said(one: Fitted) -> str:
    return f"{one.name} ({one.what})"
