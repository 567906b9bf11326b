"""Piano rolls: which of the 88 keys sound at each step of each piece."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.source import Source
from tidegate.data.text import decode
from tidegate.errors import InputError

KEYS = 88
LOWEST, HIGHEST = 21, 108  # MIDI numbers of a piano's first and last key
SPLITS = ("train", "valid", "test")
FORMAT = 'expected is {"train": [[[60, 64, 67], [62], ...], ...], "valid": ..., "test": ...}: pieces of steps of notes'

Roll = NDArray[np.bool_]


@dataclass(frozen=True)
class PianoRolls:
    """Pieces by split.

    Shapes:
        each piece: [T, 88] bool, T at least 2; column k is MIDI note 21 + k.
    """

    train: tuple[Roll, ...]
    valid: tuple[Roll, ...]
    test: tuple[Roll, ...]
    warnings: tuple[str, ...] = ()


def read_music(source: Source) -> PianoRolls:
    """Read piano rolls from JSON, ``{"train": [piece], "valid": [piece], "test": [piece]}``.

    A piece is a list of steps and a step a list of MIDI note numbers, 21 to 108; an empty step is silence.

    Raises:
        InputError: the content is not such JSON; the message names the first place that is not.
    """
    data = _parse(source)
    if not isinstance(data, dict) or any(split not in data for split in SPLITS):
        came = f"the keys {', '.join(map(repr, data)) or 'none'}" if isinstance(data, dict) else _kind(data)
        raise _error(source, f"came {came}")
    extra = tuple(f"key {key!r} is not a split and was not used" for key in data if key not in SPLITS)
    train, valid, test = (tuple(_pieces(source, split, data[split])) for split in SPLITS)
    return PianoRolls(train, valid, test, extra)


def _parse(source: Source) -> Any:
    text = decode(source)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            "MUSIC_JSON",
            f"{source.title} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            fix=FORMAT,
        ) from None
    except (ValueError, RecursionError) as error:  # absurdly long numbers, absurdly deep nesting
        raise InputError("MUSIC_JSON", f"{source.title} cannot be read as JSON: {error}", fix=FORMAT) from None


def _pieces(source: Source, split: str, pieces: Any) -> Iterator[Roll]:
    if not isinstance(pieces, list) or not pieces:
        raise _error(source, f"{split!r} must be a list of at least one piece, came {_kind(pieces)}")
    for index, piece in enumerate(pieces):
        where = f"piece {index} of {split!r}"
        if not isinstance(piece, list) or len(piece) < 2:
            raise _error(source, f"{where} must be a list of at least two steps, came {_kind(piece)}")
        yield _roll(source, where, piece)


def _roll(source: Source, where: str, piece: list[Any]) -> Roll:
    roll = np.zeros((len(piece), KEYS), bool)
    for time, step in enumerate(piece):
        if not isinstance(step, list):
            raise _error(source, f"step {time} of {where} must be a list of notes, came {_kind(step)}")
        for note in step:
            if type(note) is not int or not LOWEST <= note <= HIGHEST:
                came = json.dumps(note)[:40]
                raise _error(source, f"step {time} of {where} holds {came}, but notes are whole numbers 21 to 108")
            roll[time, note - LOWEST] = True
    return roll


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {dict: "an object", str: "text", type(None): "null", bool: "true or false"}.get(type(value), "a number")


def _error(source: Source, message: str) -> InputError:
    return InputError("MUSIC_FORMAT", f"{source.title} is not a piano roll: {message}", fix=FORMAT)
