"""The chunks of RIFF files: WAV, and MIDI in its Windows form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Order = Literal["little", "big"]
FIRST = 12  # bytes before the first chunk: "RIFF", a size, and the form


class Chunk(NamedTuple):
    """A part of a file.

    Attributes:
        name: four bytes.
        start: where its content begins.
        size: of its content, as its header states it.
    """

    name: bytes
    start: int
    size: int


def chunks(raw: bytes, order: Order = "little", *, start: int = FIRST) -> Iterator[Chunk]:
    """The chunks from a place on; the last may state a size beyond the end of the file."""
    while start + 8 <= len(raw):
        chunk = Chunk(raw[start : start + 4], start + 8, int.from_bytes(raw[start + 4 : start + 8], order))
        yield chunk
        start = chunk.start + chunk.size + chunk.size % 2


def only_chunks(raw: bytes, order: Order = "little", *, start: int) -> bool:
    """Whether the rest of a file is whole chunks with printable names, rather than sound."""
    rest = list(chunks(raw, order, start=start))
    named = all(chunk.name.isascii() and chunk.name.decode("latin1").isprintable() for chunk in rest)
    return bool(rest) and named and len(raw) - 1 <= rest[-1].start + rest[-1].size <= len(raw)
