"""Bytes of a file, block by block."""

from __future__ import annotations

from collections.abc import Iterator

from tidegate.data.large import BLOCK
from tidegate.data.source import Source
from tidegate.errors import InputError

Range = tuple[int, int]  # bytes: the first, and one past the last


def blocks(source: Source, within: Range) -> Iterator[bytes]:
    """The bytes of a range, block by block; a block ends with a line, or at least between two characters.

    Raises:
        InputError: the file ends earlier.
    """
    at, end = within
    rest = b""
    with source.opened() as file:
        file.seek(at)
        while at < end:
            raw = file.read(min(BLOCK, end - at))
            if not raw:
                raise InputError(
                    "FILE_CHANGED",
                    f"{source.title} became shorter while it was read",
                    fix="start again when nothing writes to it",
                )
            at, rest = at + len(raw), rest + raw
            cut = len(rest) if at == end else _cut(rest)
            if cut:
                yield rest[:cut]
            rest = rest[cut:]


def _cut(raw: bytes) -> int:
    """Where the last line ends, or else the last character begins."""
    line = raw.rfind(b"\n") + 1
    return line or next(
        (at for at in range(len(raw) - 1, max(-1, len(raw) - 5), -1) if raw[at] & 0xC0 != 0x80), len(raw)
    )
