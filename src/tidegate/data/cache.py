"""The cache of a source: arrays in files that training reads in its place, and what a pass over it found."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.data.large import in_megabytes
from tidegate.data.source import Source
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.plain import read_json, typed
from tidegate.storage import alone, explained, replace_file, sync

FORMAT = "tidegate-cache-1"
CARD, LOCK, DRAFT = "cache.json", ".lock", ".draft"
SPARE = 64 << 20  # bytes of a disk that a cache leaves free
KINDS = {np.dtype(kind).str for kind in ("u1", "u2", "u4", "i4", "i8", "f4")}

Facts = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """Arrays that lie in a folder.

    Attributes:
        facts: plain data about them.
    """

    folder: Path
    facts: Facts
    shapes: dict[str, tuple[str, int]]

    def array(self, name: str) -> NDArray[Any]:
        """[N] an array, of which only what is used is read from the disk."""
        kind, length = self.shapes[name]
        if not length:
            return np.zeros(0, kind)
        return np.asarray(np.memmap(self.folder / name, kind, mode="r", shape=(length,)))


class Draft:
    """Arrays that are written part by part.

    Args:
        folder: where they go.
        source: what they are the cache of.
    """

    def __init__(self, folder: Path, source: Source) -> None:
        self._folder, self._source, self._size, self._written = folder, source, 0, 0
        self._files: dict[str, BinaryIO] = {}
        self._lengths: dict[str, tuple[str, int]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()

    def reserve(self, size: int) -> None:
        """Check that so many bytes are free.

        Raises:
            InputError: the disk is too full.
        """
        self._size = size
        free = shutil.disk_usage(self._folder).free
        if free < size + SPARE:
            raise InputError(
                "DISK_FULL",
                f"the cache of {self._source.title} takes about {in_megabytes(size)}, and {in_megabytes(free)} are "
                f"free in {self._folder.parent}",
                fix="free some space, or name a folder on another disk with cache=",
            )

    def append(self, name: str, part: NDArray[Any]) -> None:
        """Write the next part of an array; all parts have one type."""
        if name not in self._files:
            self._files[name] = self._stack.enter_context((self._folder / name).open("wb"))
            self._lengths[name] = (part.dtype.str, 0)
        kind, length = self._lengths[name]
        assert kind == part.dtype.str
        self._files[name].write(np.ascontiguousarray(part).data)
        self._lengths[name], self._written = (kind, length + len(part)), self._written + part.nbytes
        phase(f"writing the cache of {self._source.title}, about {in_megabytes(self._size)}", self._written, self._size)

    def end(self, facts: Facts, about: Facts) -> None:
        """Make sure that the arrays are on the disk, and say what they are."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        card = {"format": FORMAT, **about, "facts": facts, "shapes": self._lengths}
        replace_file(self._folder / CARD, json.dumps(card))


class Cache:
    """The folder with the caches of a source: one for each way to encode it.

    A cache is written into a draft, whose renaming makes it a whole one, so none is ever half. Where a process dies
    before, the next one starts the draft afresh. Several processes wait for the one that writes.

    Args:
        source: the file.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.home = Path(source.cache).expanduser().absolute() if source.cache else Path(f"{source.address}.cache")

    def remembered(self, name: str, find: Callable[[], Facts]) -> Facts:
        """What a pass over the source found, found anew if a file has changed since.

        Args:
            name: of the file that remembers it.
            find: makes the pass.

        Raises:
            InputError: ``find`` raises it, or the folder cannot be written.
        """
        stamp = {"format": FORMAT, "files": [_stamp(part) for part in _parts(self.source)]}
        path = self.home / f"{name}.json"
        with self._alone():
            known = _read(path)
            if known.get("stamp") == stamp:
                found: Facts = typed(known.get("found"), dict[str, Any], name)
                return found
            found = find()
            replace_file(path, json.dumps({"stamp": stamp, "found": found}))
        return found

    def stored(self, source_hash: str, content: Facts, write: Callable[[Draft], Facts]) -> Stored:
        """The arrays of one encoding, written now unless they are there.

        Args:
            source_hash: that of the source.
            content: how it is encoded; both determine the arrays.
            write: writes them, and returns facts about them as plain data.

        Raises:
            InputError: ``write`` raises it, the disk is too full, or the folder cannot be written.
        """
        text = json.dumps([FORMAT, source_hash, content], sort_keys=True)
        folder = self.home / hashlib.sha256(text.encode()).hexdigest()[:16]
        with self._alone():
            return _opened(folder) or self._written(folder, source_hash, write)

    def _written(self, folder: Path, source_hash: str, write: Callable[[Draft], Facts]) -> Stored:
        draft = self.home / DRAFT
        with explained(folder, 0):
            for stale in (draft, folder, *self._outdated(source_hash)):
                shutil.rmtree(stale, ignore_errors=True)
            draft.mkdir()
            try:
                with Draft(draft, self.source) as arrays:
                    facts = write(arrays)
                    arrays.end(facts, {"address": self.source.address, "hash": source_hash})
                sync(draft)
                draft.rename(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            sync(self.home)
        whole = _opened(folder)
        assert whole is not None
        return whole

    def _outdated(self, source_hash: str) -> Iterator[Path]:
        """The arrays of this file as it was before it changed."""
        for card in self.home.glob(f"*/{CARD}"):
            about = _read(card)
            if about.get("address") == self.source.address and about.get("hash") != source_hash:
                yield card.parent

    def _alone(self) -> Any:
        with explained(self.home, 0):
            self.home.mkdir(parents=True, exist_ok=True)
        return alone(self.home / LOCK)


def _parts(source: Source) -> Iterator[Source]:
    yield source
    yield from (part for part in (source.valid, source.test) if part is not None)


def _stamp(source: Source) -> list[Any]:
    """What changes when a file does: its time, or the hash of what has been read."""
    if not source.large:
        return [source.hash]
    about = Path(source.address).stat()
    return [source.address, about.st_size, about.st_mtime_ns]


def _read(path: Path) -> Facts:
    try:
        found = read_json(path.read_bytes())
    except (OSError, InputError):
        return {}
    return found if isinstance(found, dict) else {}


def _opened(folder: Path) -> Stored | None:
    """The arrays in a folder, if all of them are there."""
    card = _read(folder / CARD)
    if card.get("format") != FORMAT:
        return None
    try:
        facts = typed(card.get("facts"), dict[str, Any], "facts")
        shapes = typed(card.get("shapes"), dict[str, tuple[str, int]], "shapes")
        whole = all(_whole(folder, name, *shape) for name, shape in shapes.items())
    except (OSError, InputError, TypeError):
        return None
    return Stored(folder, facts, shapes) if whole else None


def _whole(folder: Path, name: str, kind: str, length: int) -> bool:
    known = kind in KINDS and Path(name).name == name
    return known and (folder / name).stat().st_size == np.dtype(kind).itemsize * length
