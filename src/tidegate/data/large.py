"""Files that are too large to be read at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from tidegate.data.packed import KINDS
from tidegate.errors import InputError

LARGE = 64 << 20  # bytes; larger files are read piece by piece, by tasks that can, on every machine
BLOCK = 8 << 20  # bytes that are read at a time
SHARE = 16  # other files may have this part of the free memory: reading a table of numbers takes 15 times its size


def check_plain(file: BinaryIO, name: str) -> None:
    """Refuse a large compressed file, in which no place can be found without unpacking all before it.

    Raises:
        InputError: it is compressed.
    """
    head = file.read(max(map(len, KINDS)))
    kind = next((kind for magic, (kind, _) in KINDS.items() if head.startswith(magic)), None)
    if kind:
        raise InputError(
            "FILE_PACKED",
            f"{name} is compressed ({kind}) and larger than {LARGE >> 20} MiB, so it cannot be read piece by piece",
            fix="unpack it and pass the unpacked file",
        )


def check_memory(path: Path, size: int, pieces: tuple[str, ...]) -> None:
    """Refuse a file that would not fit into memory.

    Args:
        path: the file.
        size: its bytes.
        pieces: suffixes of files that could be read piece by piece.

    Raises:
        InputError: its content would take more memory than is free.
    """
    free = free_memory()
    if free is None or size <= max(LARGE, free // SHARE):
        return
    other = f"; files ending in {', '.join(pieces)} may have any size" if any(pieces) else ""
    raise InputError(
        "FILE_LARGE",
        f"{path} has {in_megabytes(size)}: read at once it would take about {in_megabytes(SHARE * size)} of memory, "
        f"and {in_megabytes(free)} are free",
        fix=f"pass a part of it{other}",
    )


def free_memory() -> int | None:
    """The bytes of memory that are free, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def in_megabytes(size: int) -> str:
    """A number of bytes for messages.

    Examples:
        >>> in_megabytes(20_000_000_000)
        '20,000 MB'
    """
    return f"{size / 1e6:,.0f} MB"
