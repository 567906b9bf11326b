"""Where data comes from: a user's file or a bundled set, read whole and named by its content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from tidegate.data.catalogue import BUNDLED
from tidegate.errors import InputError

PREFIX = "bundled:"
CLOSE = 0.75  # of 1; at difflib's 0.6 half of the names in a folder resemble each other


@dataclass(frozen=True)
class Source:
    """The bytes of one data set.

    Attributes:
        address: an absolute path or ``"bundled:<name>"``; enough to read the same data elsewhere.
        title: what people call it.
        raw: the (uncompressed) content.
        description: one line about the content; empty for a user's file.
        licence: under which terms it comes; empty for a user's file.
    """

    address: str
    title: str
    raw: bytes
    description: str = ""
    licence: str = ""

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content, in hexadecimal."""
        return hashlib.sha256(self.raw).hexdigest()


def locate(address: str | os.PathLike[str]) -> Source:
    """Read a file, or the bundled set that ``"bundled:<name>"`` names.

    Raises:
        InputError: there is no such set or file, it cannot be read, or it is empty.
    """
    address = os.fspath(address)
    return _bundled(address.removeprefix(PREFIX)) if address.startswith(PREFIX) else _file(address)


def _bundled(name: str) -> Source:
    if name not in BUNDLED:
        raise InputError(
            "BUNDLED_UNKNOWN",
            f"there is no bundled data set {name!r}{did_you_mean(name, list(BUNDLED))}",
            fix=f"take one of {', '.join(BUNDLED)}",
        )
    entry = BUNDLED[name]
    return Source(PREFIX + name, entry.title, entry.read(), entry.description, entry.licence)


def _file(address: str) -> Source:
    path = Path(address).expanduser().absolute()
    raw = _read(path)
    if not raw.strip():
        raise InputError("FILE_EMPTY", f"{path} is empty", fix="pass a file that holds data")
    return Source(str(path), path.name, raw)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        fix = f"check the path; bundled sets are {', '.join(BUNDLED)}"
        raise InputError("FILE_MISSING", f"there is no file {path}{_neighbours(path)}", fix=fix) from None
    except IsADirectoryError:
        raise InputError("FILE_DIRECTORY", f"{path} is a folder, not a file", fix="pass one file in it") from None
    except PermissionError:
        raise InputError("FILE_DENIED", f"no permission to read {path}", fix="change the file's permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL inside the path
        raise InputError("FILE_UNREADABLE", f"{path} cannot be read: {error}", fix="check the path") from error


def _neighbours(path: Path) -> str:
    try:
        return did_you_mean(path.name, sorted(entry.name for entry in path.parent.iterdir()), _stem)
    except OSError:
        return f": the folder {path.parent} does not exist"


def _stem(name: str) -> str:
    return Path(name).stem


def did_you_mean(name: str, known: list[str], part: Callable[[str], str] = str) -> str:
    """``"; did you mean 'x' or 'y'?"`` with the nearest known names, or nothing; ``part`` is what is compared."""
    parts: dict[str, list[str]] = {}
    for entry in known:
        parts.setdefault(part(entry).casefold(), []).append(entry)
    close = get_close_matches(part(name).casefold(), parts, n=3, cutoff=CLOSE)
    near = [entry for found in close for entry in parts[found]][:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
