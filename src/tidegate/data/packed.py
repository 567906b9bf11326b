"""Compressed files, told by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import PurePath
from typing import Any

from tidegate.errors import InputError

KINDS: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
}
SUFFIXES = (".gz", ".bz2", ".xz")
LEAST_LIMIT, MULTIPLE = 64 << 20, 200  # bytes that any file may unpack to, and how many times its own size


def unpacked(raw: bytes, name: str) -> tuple[bytes, str]:
    """The content of a gzip, bzip2 or xz file and its name without the suffix; other files unchanged.

    A file unpacks to at most 64 MiB or 200 times its own size, whichever is more: a few megabytes could else fill
    any memory.

    Raises:
        InputError: the file is damaged, or unpacks to more than that.
    """
    plain = plain_name(name)
    found = next((kind for magic, kind in KINDS.items() if raw.startswith(magic)), None)
    if found is None:
        if plain == name:
            return raw, name
        raise InputError(
            "FILE_PACKED", f"{name} cannot be unpacked: it is not what its name says", fix="pass a complete file"
        )
    kind, opened = found
    limit = limit_of(raw)
    try:
        with opened(io.BytesIO(raw)) as file:
            content: bytes = file.read(limit + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        reason = "its compressed data are damaged" if isinstance(error, zlib.error) else error
        raise InputError(
            "FILE_PACKED", f"{name} cannot be unpacked as {kind}: {reason}", fix="pass a complete file"
        ) from None
    if len(content) > limit:
        raise InputError(
            "FILE_PACKED",
            f"{name} is {len(raw):,} bytes of {kind} that unpack to more than {limit:,}",
            fix="unpack it yourself, if it is what you think",
        )
    return content, plain


def limit_of(raw: bytes) -> int:
    """The largest number of bytes that a file may unpack to."""
    return max(LEAST_LIMIT, MULTIPLE * len(raw))


def plain_name(name: str) -> str:
    """The name without ``.gz``, ``.bz2`` or ``.xz``."""
    suffix = PurePath(name).suffix
    return name.removesuffix(suffix) if suffix.casefold() in SUFFIXES else name
