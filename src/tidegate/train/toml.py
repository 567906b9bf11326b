"""Settings to TOML and back. Errors name the key that does not fit."""

from __future__ import annotations

import re
import reprlib
import tomllib
from dataclasses import replace
from types import NoneType
from typing import Any, TypeVar, Union, get_args, get_type_hints

from tidegate.errors import InputError, did_you_mean, explain_missing
from tidegate.plain import in_json, in_words, typed
from tidegate.train.setting import Training, check, names, privately, task_of

S = TypeVar("S", bound=Training)
LARGEST = 1 << 20  # bytes; tomllib takes a time that grows with the square of the length of a key
PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
DEEP = re.compile(rf"(?<![\w-]){PART}(?:[ \t]*\.[ \t]*{PART}){{32}}")  # no setting has a key of so many parts


def to_toml(setting: Training) -> str:
    """Write settings as TOML: the task, its own settings, the model's, the training's. None is left out.

    Examples:
        >>> from tidegate.tasks.language.setting import LanguageSetting
        >>> to_toml(LanguageSetting(cell="gru")).splitlines()[:2]
        ['task = "language"', 'unit = "character"']
    """
    with explain_missing():
        import tomli_w  # only for writing: --help must work without it
    values = {name: getattr(setting, name) for name in names(type(setting))}
    return tomli_w.dumps(
        {"task": task_of(setting), **{name: value for name, value in values.items() if value is not None}}
    )


def from_toml(text: str, kind: type[S], name: str = "the configuration", base: S | None = None) -> S:
    """Read settings from TOML. A setting that the text leaves out keeps its value in ``base``.

    Args:
        text: as ``to_toml`` writes it.
        kind: the class of the settings.
        name: the name of the text in errors.
        base: settings to start from; the defaults unless given, or the recipe of private training if the text sets
            epsilon.

    Returns:
        The settings.

    Raises:
        InputError: the text is not TOML, belongs to another task, or has an unknown key or a value of the wrong type
            or out of range.
    """
    values = _read(text, name)
    task = values.pop("task", task_of(kind))
    if task != task_of(kind):
        raise InputError(
            "TOML_TASK",
            f"{name} has settings of the task {reprlib.repr(task)}, expected {task_of(kind)!r}",
            fix="pass another file",
        )
    hints, known = get_type_hints(kind), names(kind)
    for key, value in values.items():
        if key not in known:
            raise InputError(
                "TOML_KEY",
                f"{name} sets {reprlib.repr(key)}, which {task_of(kind)} does not have{did_you_mean(key, known)}",
                fix="correct or remove it",
            )
        values[key] = _fitted(value, hints[key], key, name)
    if base is None and "epsilon" in values:
        base = privately(kind, values["epsilon"])
    setting = replace(base or kind(), **values)
    check(setting)
    return setting


def _read(text: str, name: str) -> dict[str, Any]:
    reason = _too_large(text)
    try:
        if not reason:
            return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        reason = " ".join(str(error).split())[:200]
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError:  # Python's limit
        reason = "it has a number of thousands of digits"
    raise InputError("TOML", f"{name} is not TOML: {reason}", fix="write lines such as hidden_size = 128")


def _too_large(text: str) -> str:
    """Why a text would take too long to read; empty if it would not."""
    if len(text) > LARGEST:
        return f"it has {len(text):,} characters, more than {LARGEST:,}"
    return "it is nested too deeply" if DEEP.search(text) else ""


def _fitted(value: Any, hint: Any, key: str, name: str) -> Any:
    """The value, converted from an integer to a float or from a list to a tuple if necessary."""
    kind = Union[tuple(option for option in get_args(hint) if option is not NoneType)] if _optional(hint) else hint  # noqa: UP007  TOML has no null
    try:
        return typed(value, kind, key)
    except InputError:
        raise InputError(
            "TOML_VALUE", f"{name} sets {key} to {in_json(value)}, expected {in_words(kind)}", fix="correct it"
        ) from None


def _optional(hint: Any) -> bool:
    return NoneType in get_args(hint)
