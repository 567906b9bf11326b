"""Where data come from: a user's file or folder, or a bundled set, identified by a hash of the content."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

from tidegate.data.catalogue import BUNDLED, Bundled
from tidegate.data.large import BLOCK, LARGE, check_memory, check_plain
from tidegate.data.packed import unpacked
from tidegate.errors import InputError, did_you_mean

PREFIX = "bundled:"
T = TypeVar("T")


@dataclass(frozen=True)
class Reader(Generic[T]):
    """How a source is read, as a value: equal readers make the same of it.

    Attributes:
        function: reads a source.
        arguments: what the function takes after the source.
        folders: whether the source may be a folder.
        any_size: the suffixes of files that need not fit into memory; ``""`` fits every file.
    """

    function: Callable[..., T]
    arguments: tuple[Any, ...] = ()
    folders: bool = False
    any_size: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The bytes of one data set.

    Attributes:
        address: an absolute path, ``"bundled:<name>"`` or ``"memory"``; with one of the first two, another process
            can read the data again.
        title: its name in messages and reports.
        raw: the (uncompressed) content; empty for a folder and for a large file.
        description: one line about the content; empty for a user's file.
        licence: empty for a user's file.
        members: of a folder, the relative paths of all files in it, sorted; ``read`` reads one.
        valid, test: sources of their own for validation and test; None if both are split off from this one.
        large: of a file that is read piece by piece, since it has more than ``LARGE`` bytes: their number; else 0.
        cache: the folder for what training reads in place of a large file; beside the file unless given.
        known_hash: ``hash``, if it has been computed before.
    """

    address: str
    title: str
    raw: bytes
    description: str = ""
    licence: str = ""
    members: tuple[str, ...] = ()
    valid: Source | None = None
    test: Source | None = None
    large: int = 0
    cache: str = ""
    known_hash: str = field(default="", compare=False)
    _ahead: list[tuple[Reader[Any], Any]] = field(default_factory=list, init=False, repr=False, compare=False)

    def read_ahead(self, reader: Reader[Any]) -> None:
        """Read the source now for the next call of ``read_by``.

        Raises:
            InputError: as the reader does.
        """
        self._ahead[:] = [(reader, reader.function(self, *reader.arguments))]

    def read_by(self, reader: Reader[T]) -> T:
        """What a reader makes of this source. What was read ahead by an equal one is handed out, once.

        Raises:
            InputError: as the reader does.
        """
        while self._ahead:
            ahead, content = self._ahead.pop()
            if ahead == reader:
                kept: T = content
                return kept
        return reader.function(self, *reader.arguments)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the content in hexadecimal; for a folder, of the names and hashes of its files."""
        if self.known_hash:
            return self.known_hash
        digest = hashlib.sha256()
        for block in self.blocks():
            digest.update(block)
        return self.hash_of(digest)

    def hash_of(self, digest: hashlib._Hash) -> str:
        """The hash, given that of the content of a file."""
        for member in self.members:
            digest.update(f"{member}\0{hashlib.sha256(self.read(member)).hexdigest()}\n".encode())
        for name, part in (("valid", self.valid), ("test", self.test)):
            if part is not None:
                digest.update(f"{name} {part.hash}\n".encode())
        return digest.hexdigest()

    @property
    def size(self) -> int:
        """The number of bytes of a file."""
        return self.large or len(self.raw)

    @property
    def cached(self) -> bool:
        """Whether training reads from a cache: from large files, and wherever a folder for it is named."""
        return bool(self.cache) or any(part is not None and part.large for part in (self, self.valid, self.test))

    def opened(self) -> BinaryIO:
        """The content of a file as a stream.

        Raises:
            InputError: the file cannot be read any more.
        """
        return _opened(Path(self.address)) if self.large else io.BytesIO(self.raw)

    def blocks(self) -> Iterator[bytes]:
        """The content of a file, block by block."""
        with self.opened() as file:
            while block := file.read(BLOCK):
                yield block

    def read(self, member: str) -> bytes:
        """The content of one file of a folder.

        Raises:
            InputError: it cannot be read.
        """
        return unpacked(_read(Path(self.address) / member), member)[0]

    def to_json(self) -> dict[str, str]:
        """Addresses and hash; ``Source.from_json`` reads the data again."""
        parts = {"source": self, "valid": self.valid, "test": self.test}
        addresses = {name: part.address for name, part in parts.items() if part is not None}
        return {**addresses, **({"cache": self.cache} if self.cache else {}), "hash": self.hash}

    @staticmethod
    def from_json(data: dict[str, str], any_size: tuple[str, ...] = ()) -> Source:
        """Read the data again.

        Args:
            data: from ``to_json``.
            any_size: as ``locate`` takes it.

        Raises:
            KeyError: ``data`` lacks an address or the hash.
            InputError: the data are gone or have changed.
        """
        expected = data["hash"]
        source = locate(data["source"], valid=data.get("valid"), test=data.get("test"), folders=True, any_size=any_size)
        source = replace(source, cache=data.get("cache", ""))
        if not source.large:  # the cache of a large one knows whether it has changed
            source.check_hash(expected)
        return source

    def check_hash(self, expected: str) -> None:
        """Refuse content that has changed.

        Raises:
            InputError: it has another hash.
        """
        if self.hash != expected:
            raise InputError(
                "DATA_CHANGED",
                f"{self.address} has changed: its SHA-256 was {expected[:12]}... and is {self.hash[:12]}...",
                fix="restore the file, or start again with the new one in another folder",
            )


Address = str | os.PathLike[str]


def address_of(data: Address) -> str:
    """The address of a bundled set, given its name, or of a path."""
    return f"{PREFIX}{data}" if str(data) in BUNDLED else os.fspath(data)


def bundled_at(address: str) -> Bundled | None:
    """The bundled set at this address; None for a user's file."""
    return BUNDLED.get(address.removeprefix(PREFIX)) if address.startswith(PREFIX) else None


def locate(
    address: Address,
    *,
    valid: Address | None = None,
    test: Address | None = None,
    folders: bool = False,
    any_size: tuple[str, ...] = (),
) -> Source:
    """Read a file, or the bundled set that ``"bundled:<name>"`` names.

    Args:
        address: a path, or ``"bundled:<name>"``.
        valid: a separate file for validation.
        test: a separate file for the test.
        folders: whether folders are accepted.
        any_size: the suffixes of files that are not read at once if they are large; ``""`` fits every file.

    Raises:
        InputError: there is no such set or file, it cannot be read, it is empty, or it does not fit into memory.
    """
    address = os.fspath(address)
    if address.startswith(PREFIX):
        source = _bundled(address.removeprefix(PREFIX))
    else:
        source = _file(address, folders=folders, any_size=any_size)
    return with_parts(source, valid=valid, test=test, folders=folders, any_size=any_size)


def with_parts(
    source: Source,
    *,
    valid: Address | None = None,
    test: Address | None = None,
    folders: bool = False,
    any_size: tuple[str, ...] = (),
) -> Source:
    """The same data with separate files for validation and test, if given.

    Raises:
        InputError: as ``locate``.
    """
    parts: dict[str, Any] = {
        name: locate(part, folders=folders, any_size=any_size)
        for name, part in (("valid", valid), ("test", test))
        if part is not None
    }
    return replace(source, **parts) if parts else source


def _bundled(name: str) -> Source:
    if name not in BUNDLED:
        raise InputError(
            "BUNDLED_UNKNOWN",
            f"there is no bundled data set {name!r}{did_you_mean(name, list(BUNDLED))}",
            fix=f"choose one of {', '.join(BUNDLED)}",
        )
    entry = BUNDLED[name]
    return Source(PREFIX + name, entry.title, entry.read(), entry.description, entry.licence)


def _file(address: str, *, folders: bool, any_size: tuple[str, ...]) -> Source:
    path = Path(address).expanduser().absolute()
    if folders and path.is_dir():
        return _folder(path)
    size = _size(path)
    if size > LARGE and path.name.casefold().endswith(any_size):
        with _opened(path) as file:
            check_plain(file, path.name)
        return Source(str(path), path.name, b"", large=size)
    check_memory(path, size, any_size)
    raw, title = unpacked(_read(path), path.name)
    if not raw.strip():
        raise InputError("FILE_EMPTY", f"{path} is empty", fix="pass a file that holds data")
    return Source(str(path), title, raw)


def _folder(path: Path) -> Source:
    files = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
    members = sorted(str(file) for file in files if not any(part.startswith(".") for part in file.parts))
    if not members:
        raise InputError("FILE_EMPTY", f"the folder {path} holds no files", fix="pass a folder that holds data")
    return Source(str(path), path.name, b"", members=tuple(members))


def _read(path: Path) -> bytes:
    with _explained(path):
        _check_kind(path)
        return path.read_bytes()


def _size(path: Path) -> int:
    with _explained(path):
        _check_kind(path)
        return path.stat().st_size


def _opened(path: Path) -> BinaryIO:
    with _explained(path):
        _check_kind(path)
        return path.open("rb")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Say why a file cannot be read."""
    try:
        yield
    except InputError:  # which is a ValueError, too
        raise
    except FileNotFoundError:
        near = _neighbours(path) or did_you_mean(path.name, list(BUNDLED))
        fix = f"check the path; bundled sets are {', '.join(BUNDLED)}"
        raise InputError("FILE_MISSING", f"there is no file {path}{near}", fix=fix) from None
    except IsADirectoryError:
        raise InputError("FILE_DIRECTORY", f"{path} is a folder, not a file", fix="pass one file in it") from None
    except PermissionError:
        raise InputError("FILE_DENIED", f"no permission to read {path}", fix="change the file's permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError("FILE_UNREADABLE", f"{path} cannot be read: {error}", fix="check the path") from error


def _check_kind(path: Path) -> None:
    """Refuse what may never end."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise InputError(
            "FILE_KIND", f"{path} is no regular file, but a device or a pipe", fix="write it to a file first"
        )


def _neighbours(path: Path) -> str:
    try:
        return did_you_mean(path.name, sorted(entry.name for entry in path.parent.iterdir()), _stem)
    except OSError:
        return f": the folder {path.parent} does not exist"


def _stem(name: str) -> str:
    return Path(name).stem
