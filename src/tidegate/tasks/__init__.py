"""What can be learnt: language, forecasting and music, each with its head, loss, metric and baselines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tidegate.data import BUNDLED, Source, locate
from tidegate.errors import InputError
from tidegate.tasks.forecast import Forecast
from tidegate.tasks.language import Language
from tidegate.tasks.music import Music
from tidegate.tasks.task import Batch, Measure, Recipe, SequenceModel, Split, Task

__all__ = [
    "TASKS",
    "Batch",
    "Forecast",
    "Language",
    "Measure",
    "Music",
    "Recipe",
    "SequenceModel",
    "Split",
    "Task",
    "bundled",
    "from_file",
    "from_json",
    "load",
]

TASKS: dict[str, Callable[..., Task]] = {"music": Music, "forecast": Forecast, "language": Language}
SUFFIXES = {".json": "music", ".csv": "forecast", ".tsv": "forecast", ".txt": "language"}


def bundled(name: str) -> Task:
    """The task of a data set that comes with the package: ``"jsb"``, ``"elnino"`` or ``"shakespeare"``.

    Raises:
        InputError: there is no such data set.
    """
    source = locate(f"bundled:{name}")
    entry = BUNDLED[name]
    return _make(entry.task, source, entry.target)


def from_file(path: str | os.PathLike[str], task: str | None = None, target: str | None = None) -> Task:
    """A task on a user's file; its suffix says which, unless ``task`` does.

    Args:
        path: ``.json`` piano rolls (music), ``.csv`` or ``.tsv`` (forecast), ``.txt`` (language).
        task: ``"music"``, ``"forecast"`` or ``"language"``.
        target: the column to forecast; forecasting needs it, the others refuse it.

    Raises:
        InputError: the file cannot be used, the task is unknown, or ``target`` is absent or of no use.
    """
    source = locate(path)
    return _make(task or _guessed(Path(source.address)), source, target)


def load(data: str | os.PathLike[str], task: str | None = None, target: str | None = None) -> Task:
    """The task of a bundled set or of a user's file, whichever ``data`` names; arguments as ``from_file``.

    Raises:
        InputError: as ``from_file``, or a task or target for a bundled set, which has its own.
    """
    if str(data) not in BUNDLED:
        return from_file(data, task, target)
    made = bundled(str(data))
    if task not in (None, made.name) or target is not None:
        raise InputError(
            "BUNDLED_TASK",
            f"the bundled set {data} has its own task ({made.name}) and target",
            fix="leave --task and --target out, or pass a file of yours",
        )
    return made


def from_json(data: dict[str, Any]) -> Task:
    """The task that ``Task.to_json`` described, if its data are still the same.

    Raises:
        InputError: ``data`` describes no task, or the file is gone or has changed since.
    """
    try:
        name, address, expected = data["task"], data["source"], data["hash"]
    except (KeyError, TypeError) as error:
        raise InputError("TASK_RECORD", f"this does not describe a task: {error}") from error
    source = locate(address)
    if source.hash != expected:
        raise InputError(
            "DATA_CHANGED",
            f"{source.address} has changed: its SHA-256 was {expected[:12]}... and is {source.hash[:12]}...",
            fix="restore the file, or start anew with the changed one",
        )
    return _make(name, source, data.get("target"))


def _guessed(path: Path) -> str:
    suffix = path.suffix.casefold()
    if suffix not in SUFFIXES:
        known = ", ".join(f"{ending} ({name})" for ending, name in SUFFIXES.items())
        raise InputError(
            "TASK_SUFFIX",
            f"the name {path.name} does not say what is to be learnt: known endings are {known}",
            fix=f"name the task: {', '.join(TASKS)}",
        )
    return SUFFIXES[suffix]


def _make(name: str, source: Source, target: str | None) -> Task:
    if name not in TASKS:
        raise InputError("TASK_UNKNOWN", f"there is no task {name!r}", fix=f"take one of {', '.join(TASKS)}")
    if name == "forecast":
        return Forecast(source, target)
    if target is not None:
        raise InputError(
            "TASK_TARGET",
            f"the task {name!r} has no target column, but {target!r} was given",
            fix="leave the target out, or name the task forecast",
        )
    return TASKS[name](source)
