"""Settings to TOML and back; whatever does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import tomllib
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomli_w

from tidegate.errors import InputError
from tidegate.setting.training import Training

S = TypeVar("S", bound=Training)


def to_toml(setting: Training) -> str:
    """The settings as TOML, the task first; what is None is left out.

    Examples:
        >>> from tidegate.setting import Music
        >>> print(to_toml(Music(cell="gru", epochs=3)).splitlines()[0:3])
        ['task = "music"', 'cell = "gru"', 'hidden_size = 128']
    """
    values = {field.name: getattr(setting, field.name) for field in dataclasses.fields(setting)}
    return tomli_w.dumps({"task": setting.task, **{name: value for name, value in values.items() if value is not None}})


def from_toml(text: str, kind: type[S], name: str = "the configuration") -> S:
    """Settings from TOML; what the text does not name keeps its default.

    Args:
        text: as ``to_toml`` writes it.
        kind: whose settings they are.
        name: what the text is called in errors.

    Raises:
        InputError: not TOML, a key that is no setting, a value of another kind or out of range, or
            the settings of another task.
    """
    try:
        values = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError("TOML", f"{name} is not TOML: {error}", fix="write lines such as hidden_size = 128") from None
    task = values.pop("task", kind.task)
    if task != kind.task:
        raise InputError(
            "TOML_TASK", f"{name} has settings of the task {task!r}, expected {kind.task!r}", fix="take another file"
        )
    hints = get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]
    for key, value in values.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(
                "TOML_KEY", f"{name} sets {key!r}, which {kind.task} does not have{meant}", fix="correct or remove it"
            )
        values[key] = _fitted(value, hints[key], key, name)
    setting = kind(**values)
    setting.check()
    return setting


def _fitted(value: Any, hint: Any, key: str, name: str) -> Any:
    for option in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        if get_origin(option) is Literal and value in get_args(option):
            return value
        if option is float and type(value) is int:
            return float(value)
        if option is not NoneType and get_origin(option) is None and type(value) is option:
            return value
        if get_origin(option) in (tuple, list) and isinstance(value, list):
            return get_origin(option)(value)
    wanted = getattr(hint, "__name__", str(hint).replace("typing.", ""))
    raise InputError("TOML_VALUE", f"{name} sets {key} to {value!r}, expected {wanted}", fix="correct it")
