"""Settings to TOML and back. Errors name the key that does not fit."""

from __future__ import annotations

import reprlib
import tomllib
from dataclasses import replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from tidegate.errors import InputError, did_you_mean, explain_missing
from tidegate.train.setting import Training, check, names, task_of

S = TypeVar("S", bound=Training)


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
        base: settings to start from; the defaults unless given.

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
    setting = replace(base or kind(), **values)
    check(setting)
    return setting


def _read(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        reason = " ".join(str(error).split())[:200]
        raise InputError("TOML", f"{name} is not TOML: {reason}", fix="write lines such as hidden_size = 128") from None


def _fitted(value: Any, hint: Any, key: str, name: str) -> Any:
    """The value, converted from an integer to a float or from a list to a tuple if necessary."""
    for option in _options(hint):
        converted = _converted(value, option)
        if converted is not None:
            return converted
    wanted = " or ".join(_in_words(option) for option in _options(hint))
    raise InputError("TOML_VALUE", f"{name} sets {key} to {reprlib.repr(value)}, expected {wanted}", fix="correct it")


def _options(hint: Any) -> list[Any]:
    """The types that a setting may have, without None, which TOML cannot express."""
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return [option for option in options if option is not NoneType]


def _converted(value: Any, option: Any) -> Any:
    """The value as this type, or None if it does not fit."""
    origin, arguments = get_origin(option), get_args(option)
    if origin is Literal:
        return value if any(type(value) is type(literal) and value == literal for literal in arguments) else None
    if origin in (tuple, list):
        items = [_converted(item, arguments[0]) for item in value] if isinstance(value, list) else [None]
        fits = all(item is not None for item in items) and _long_enough(items, arguments)
        return origin(items) if fits else None
    if option is float and type(value) is int:
        return float(value) if abs(value) < 1 << 53 else None
    return value if type(value) is option else None


def _long_enough(items: list[Any], arguments: tuple[Any, ...]) -> bool:
    """Whether a list has as many items as the type has arguments; a single one stands for any number."""
    return len(arguments) < 2 or arguments[1] is Ellipsis or len(items) == len(arguments)


def _in_words(option: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(option), get_args(option)
    if origin is Literal:
        return " or ".join(f'"{literal}"' for literal in arguments)
    if origin in (tuple, list):
        return f"a list, each item {_in_words(arguments[0])}"
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
    return words.get(option, str(option))
