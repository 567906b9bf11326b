"""Piano rolls: which of the 88 keys sound at each step of each piece."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tidegate.data.matlab import read_cells
from tidegate.data.midi import KEYS, LOWEST, Roll, read_midi
from tidegate.data.midi_file import is_midi
from tidegate.data.packed import plain_name
from tidegate.data.source import Source
from tidegate.data.text import decode
from tidegate.errors import InputError
from tidegate.language import say
from tidegate.plain import read_json

HIGHEST = LOWEST + KEYS - 1
SPLITS = ("train", "valid", "test")
SHARE = 10  # without a split in the data, a tenth of the pieces is for validation and a tenth for the test
MIDI_GRID = 4  # steps in a quarter note, unless the settings say otherwise
SUFFIXES = (".mid", ".midi", ".rmi", ".kar")
FORMAT = 'write {"train": [[[60, 64, 67], [62], ...], ...], "valid": ..., "test": ...}: pieces of steps of notes'

Parts = dict[str, list[Roll]]


@dataclass(frozen=True)
class PianoRolls:
    """Pieces by split.

    Attributes:
        steps_per_quarter: steps of the grid in a quarter note, if known.
        split: how the pieces were split.

    Shapes:
        each piece: [T, 88] bool, T at least 2; column k is MIDI note 21 + k.
    """

    train: tuple[Roll, ...]
    valid: tuple[Roll, ...]
    test: tuple[Roll, ...]
    warnings: tuple[str, ...] = ()
    steps_per_quarter: int = 1
    split: str = say("as in the file")


@dataclass(frozen=True)
class _Pieces:
    """The pieces of one source, by split; all under the name ``""`` if it has no split."""

    parts: Parts
    warnings: tuple[str, ...]
    steps_per_quarter: int

    def joined(self) -> list[Roll]:
        return [piece for part in self.parts.values() for piece in part]


def read_music(
    source: Source, steps_per_quarter: int | None = None, split_seed: int = 0, *, score: bool = False
) -> PianoRolls:
    """Read piano rolls from a JSON, MATLAB or MIDI file, or from a folder of MIDI files.

    JSON is ``{"train": [piece], "valid": [piece], "test": [piece]}``, where a piece is a list of steps and a step a
    list of MIDI note numbers from 21 to 108; an empty step is silence. A MATLAB file has the cell arrays ``traindata``,
    ``validdata`` and ``testdata`` of T x 88 matrices of 0 and 1. MIDI files are split piece by piece with
    ``split_seed``; identical pieces stay together.

    Args:
        source: the data; if it has ``valid`` and ``test``, they replace those splits.
        steps_per_quarter: steps in a quarter note; unless given, 4 for MIDI files and 1 for others.
        split_seed: seed of the split, for data without one.
        score: only score a model: the test split if the data have one, all pieces otherwise.

    Raises:
        InputError: the content has another format; the message names the first place.
    """
    pieces = _pieces_of(source, steps_per_quarter)
    if score:
        own = "test" in pieces.parts
        scored = tuple(pieces.parts["test"] if own else pieces.joined())
        how = say("the test part of the file") if own else say("all of it is the test")
        return PianoRolls((), (), scored, pieces.warnings, pieces.steps_per_quarter, how)
    given = {
        name: _pieces_of(part, pieces.steps_per_quarter)
        for name, part in (("valid", source.valid), ("test", source.test))
        if part is not None
    }
    wanted = [name for name in ("valid", "test") if name not in given]
    unsplit = "" in pieces.parts
    parts = _split(source, pieces, wanted, split_seed) if unsplit else dict(pieces.parts)
    parts |= {name: part.joined() for name, part in given.items()}
    in_files = say("as in the files") if given else say("as in the file")
    how = say("by pieces, seed {seed}", seed=split_seed) if unsplit and wanted else in_files
    warnings = sum((part.warnings for part in given.values()), pieces.warnings)
    train, valid, test = (tuple(parts[name]) for name in SPLITS)
    return PianoRolls(train, valid, test, warnings, pieces.steps_per_quarter, how)


def read_piece(source: Source, steps_per_quarter: int) -> Roll:
    """The first piece of a source.

    Raises:
        InputError: as ``read_music``.
    """
    return _pieces_of(source, steps_per_quarter).joined()[0]


def _pieces_of(source: Source, steps_per_quarter: int | None) -> _Pieces:
    if source.members or is_midi(source.raw):
        return _midi_pieces(source, steps_per_quarter or MIDI_GRID)
    parts, warnings = _matlab(source) if source.raw.startswith(b"MATLAB") else _json(source)
    return _Pieces(parts, warnings, steps_per_quarter or 1)


def _midi_pieces(source: Source, steps_per_quarter: int) -> _Pieces:
    files = [source]
    if source.members:
        names = [name for name in source.members if plain_name(name).casefold().endswith(SUFFIXES)]
        files = [Source(name, name, source.read(name)) for name in names]
    if not files:
        raise InputError(
            "MUSIC_FOLDER", f"the folder {source.title} has no MIDI files", fix="pass a folder with .mid files"
        )
    read, unread = list[tuple[Roll, int]](), list[InputError]()
    for file in files:
        try:
            read.append(read_midi(file, steps_per_quarter))
        except InputError as error:
            unread.append(error)
    if not read:
        raise unread[0]
    left = f"{len(unread)} of {len(files)} MIDI files are left out"
    warnings = [f"{left}; the first: {unread[0].message}"] if unread else []
    beyond = sum(left for _, left in read)
    warnings += [f"{beyond} notes outside the 88 keys of a piano were left out"] if beyond else []
    if source.members and len(files) < len(source.members):
        warnings.append(f"{len(source.members) - len(files)} files without the suffix .mid were left out")
    return _Pieces({"": [roll for roll, _ in read]}, tuple(warnings), steps_per_quarter)


def _split(source: Source, pieces: _Pieces, wanted: list[str], seed: int) -> Parts:
    """Whole pieces by split, drawn by a hash of their content, so that identical pieces stay together."""
    groups: dict[str, list[Roll]] = {}
    for piece in pieces.joined():
        name = hashlib.sha256(f"{seed}/".encode() + np.packbits(piece).tobytes()).hexdigest()
        groups.setdefault(name, []).append(piece)
    if len(groups) <= len(wanted):
        raise InputError(
            "MUSIC_FEW",
            f"{source.title} has {len(groups)} different piece{'s' * (len(groups) > 1)}, but at least "
            f"{len(wanted) + 1} are needed: for training{''.join(f' and {name}' for name in wanted)}"
            f"{''.join(f'; {warning}' for warning in pieces.warnings)}",
            fix="pass a folder with more .mid files, or valid=FILE and test=FILE",
        )
    ordered = [groups[key] for key in sorted(groups)]
    parts: Parts = {}
    for name in wanted:
        count = max(1, len(groups) // SHARE)
        parts[name] = [piece for group in ordered[:count] for piece in group]
        ordered = ordered[count:]
    return {**parts, "train": [piece for group in ordered for piece in group]}


def _matlab(source: Source) -> tuple[Parts, tuple[str, ...]]:
    names = tuple(f"{split}data" for split in SPLITS)
    fix = f"save cell arrays {', '.join(names)} of T x {KEYS} matrices of 0 and 1"
    try:
        cells = read_cells(source.raw, names)
        return {split: _binary_cells(cells, f"{split}data") for split in SPLITS}, ()
    except ValueError as error:
        raise InputError("MUSIC_MATLAB", f"{source.title} is not a piano roll: {error}", fix=fix) from None


def _binary_cells(cells: dict[str, list[NDArray[Any]]], name: str) -> list[Roll]:
    if not cells.get(name):
        raise ValueError(f"it has no cells {name!r}")
    return [_binary(piece) for piece in cells[name]]


def _binary(piece: NDArray[Any]) -> Roll:
    if piece.shape[1] != KEYS or len(piece) < 2:
        raise ValueError(f"a piece is {piece.shape[0]} x {piece.shape[1]}, not at least 2 steps of {KEYS} keys")
    if not np.isin(piece, (0, 1)).all():
        raise ValueError("a piece has numbers other than 0 and 1")
    return piece.astype(bool)


def _json(source: Source) -> tuple[Parts, tuple[str, ...]]:
    data = _parse(source)
    if not isinstance(data, dict) or any(split not in data for split in SPLITS):
        got = (
            f"an object with the keys {', '.join(map(repr, data)) or 'none'}" if isinstance(data, dict) else _kind(data)
        )
        raise _error(source, f"it is {got}")
    extra = tuple(f"key {key!r} is not a split and was ignored" for key in data if key not in SPLITS)
    return {split: list(_pieces(source, split, data[split])) for split in SPLITS}, extra


def _parse(source: Source) -> Any:
    text = decode(source)
    try:
        return read_json(text)
    except InputError as error:
        raise InputError("MUSIC_JSON", f"{source.title} is not JSON: {error}", fix=FORMAT) from None


def _pieces(source: Source, split: str, pieces: Any) -> Iterator[Roll]:
    if not isinstance(pieces, list) or not pieces:
        raise _error(source, f"{split!r} must be a list of at least one piece, not {_kind(pieces)}")
    for index, piece in enumerate(pieces):
        where = f"piece {index} of {split!r}"
        if not isinstance(piece, list) or len(piece) < 2:
            raise _error(source, f"{where} must be a list of at least two steps, not {_kind(piece)}")
        yield _roll(source, where, piece)


def _roll(source: Source, where: str, piece: list[Any]) -> Roll:
    roll = np.zeros((len(piece), KEYS), bool)
    for time, step in enumerate(piece):
        if not isinstance(step, list):
            raise _error(source, f"step {time} of {where} must be a list of notes, not {_kind(step)}")
        for note in step:
            if type(note) is not int or not LOWEST <= note <= HIGHEST:
                got = json.dumps(note)[:40]
                raise _error(
                    source, f"step {time} of {where} contains {got}, but notes are whole numbers from 21 to 108"
                )
            roll[time, note - LOWEST] = True
    return roll


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {dict: "an object", str: "text", type(None): "null", bool: "true or false"}.get(type(value), "a number")


def _error(source: Source, message: str) -> InputError:
    return InputError("MUSIC_FORMAT", f"{source.title} is not a piano roll: {message}", fix=FORMAT)
