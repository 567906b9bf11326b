"""A text file that is read piece by piece, from any character on."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Self

from tidegate.data.block import Range, blocks
from tidegate.data.large import in_megabytes
from tidegate.data.source import Source
from tidegate.data.text import Decoder
from tidegate.phase import phase
from tidegate.plain import typed

PLACES = 64  # of a sample
NEAR = 4096  # bytes to look for the end of a line


@dataclass(frozen=True)
class Text:
    """The text of a source, of which one pass has found where characters are.

    Attributes:
        source: the file, with its hash.
        marks: bytes and characters before each block; the last mark is the end of the file.
    """

    source: Source
    marks: tuple[Range, ...]

    @classmethod
    def surveyed(cls, source: Source) -> Self:
        """Read the source once.

        Raises:
            InputError: as ``decode``.
        """
        decoder, digest = Decoder(source.title), hashlib.sha256()
        marks = [(0, 0)]
        for block in blocks(source, (0, source.size)):
            if source.large:
                phase(f"reading {source.title}, {in_megabytes(source.size)}", marks[-1][0], source.size)
            digest.update(block)
            at, characters = marks[-1]
            marks.append((at + len(block), characters + len(decoder(block))))
        decoder.end()
        return cls(replace(source, known_hash=source.hash_of(digest)), tuple(marks))

    def to_json(self) -> dict[str, Any]:
        """What ``surveyed`` found, for ``from_json``."""
        return {"hash": self.source.hash, "marks": [list(mark) for mark in self.marks]}

    @classmethod
    def from_json(cls, source: Source, data: dict[str, Any]) -> Self:
        """Restore what ``surveyed`` found.

        Raises:
            InputError: ``data`` does not say it.
        """
        marks = typed(data.get("marks"), tuple[tuple[int, int], ...], "marks")
        return cls(replace(source, known_hash=typed(data.get("hash"), str, "hash")), marks)

    @property
    def characters(self) -> int:
        """The number of characters."""
        return self.marks[-1][1]

    def place(self, character: int) -> int:
        """The first byte of a character."""
        at = bisect_right(self.marks, character, key=lambda mark: mark[1]) - 1
        byte, before = self.marks[at]
        if character == before:
            return byte
        with self.source.opened() as file:
            file.seek(byte)
            block = file.read(self.marks[at + 1][0] - byte)
        text = block.decode("utf-8")
        mark = len(text) - len(text.removeprefix("\ufeff")) if byte == 0 else 0  # no character of the text
        return byte + len(text[: character - before + mark].encode())

    def pieces(self, *ranges: Range) -> Iterator[str]:
        """The text of these ranges, piece by piece; a piece ends with a line, unless lines are very long."""
        for within in ranges:
            first = within[0]
            for block in blocks(self.source, within):
                text = block.decode("utf-8")
                yield text if first else text.removeprefix("\ufeff")
                first += len(block)

    def sample(self, within: Range, most: int) -> tuple[Range, ...]:
        """Evenly spread ranges of about ``most`` bytes, which begin and end with lines; all if there are no more."""
        first, last = within
        if last - first <= most:
            return (within,)
        begins = [first + (last - first) * k // PLACES for k in range(PLACES)]
        with self.source.opened() as file:
            return tuple((_line(file, begin), _line(file, begin + most // PLACES)) for begin in begins)


def _line(file: BinaryIO, at: int) -> int:
    """Where the next line begins, or else the next character."""
    file.seek(at)
    near = file.read(NEAR)
    line = near.find(b"\n") + 1
    return at + (line or next((k for k, byte in enumerate(near) if byte & 0xC0 != 0x80), 0))
