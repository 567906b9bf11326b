"""JSON files of weights: their values as arrays, with clear errors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.layout import Array
from tidegate.errors import InputError, visible
from tidegate.plain import read_json

SHOWN = 60


def json_object(path: Path) -> dict[str, Any]:
    """The object that a file holds.

    Raises:
        InputError: it holds something else, or is damaged.
    """
    try:
        value = read_json(path.read_bytes())
    except InputError as error:
        raise damaged(path, error.message) from error
    if not isinstance(value, dict):
        raise damaged(path, "it is no object")
    return value


def array(path: Path, value: Any, name: str) -> Array:
    """Nested lists of numbers, in float32.

    Raises:
        InputError: they are not all of one length, or hold something else.
    """
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise damaged(path, f"{name} has rows of different lengths") from error
    if found.dtype.kind not in "fi":
        raise damaged(path, f"{name} holds something else than numbers")
    with np.errstate(over="ignore"):
        single = found.astype(np.float32)
    if not np.isfinite(single).all():
        raise damaged(path, f"{name} holds a number that float32 has not")
    return single


def whole(path: Path, config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    """A positive integer of a configuration.

    Raises:
        InputError: it is missing, or something else.
    """
    value = config.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise damaged(path, f"{name} must be a positive integer, got {str(value)[:SHOWN]}")
    return value


def facts(file: Mapping[str, Any], *known: str) -> dict[str, Any]:
    """What else the file says in single values, such as a rate."""
    return {name: value for name, value in file.items() if name not in known and isinstance(value, (int, float, str))}


def damaged(path: Path, what: str) -> InputError:
    return InputError(
        "READ_FILE", f"{visible(str(path))} is damaged: {visible(what)}", fix="get the file again from its source"
    )
