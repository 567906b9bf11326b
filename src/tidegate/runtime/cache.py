"""The cache of compiled libraries: a private folder, from which only whole files of this user are loaded."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import os
import shutil
import stat
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from tidegate.errors import BackendError, TidegateWarning

SEAL = b"tidegate sha256 "  # at the end of a library, before the hash of all that precedes it
HASH_BYTES = hashlib.sha256().digest_size
UNFINISHED = "making-"
ABANDONED_SECONDS = 24 * 3600.0  # a folder of a compilation that was killed
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH

_opened = itertools.count(1)


def folder() -> Path:
    """``TIDEGATE_CACHE``, or ``tidegate`` in the user's cache folder.

    Code is loaded from there, so nobody else may write to it or to a folder above it. One that others may write to is
    left aside with a warning, and a private one is used until this process ends.
    """
    return _folder(os.environ.get("TIDEGATE_CACHE", ""), os.environ.get("XDG_CACHE_HOME", ""))


@cache
def _folder(chosen: str, base: str) -> Path:
    try:
        wanted = Path(chosen) if chosen else (Path(base) if base else Path.home() / ".cache") / "tidegate"
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = wanted.resolve()
        problem = _problem(found)
    except (OSError, RuntimeError, ValueError) as error:  # no home, no permission, a file in the way, no valid name
        found, problem = Path(), f"the cache {chosen or 'of this user'} cannot be used: {error}"
    return _private(problem) if problem else found


def _problem(found: Path) -> str:
    """Who else could change what is loaded from this folder; empty if nobody can."""
    if not hasattr(os, "getuid"):
        return ""
    for place in (found, *found.parents):
        status = place.stat()
        if status.st_uid not in (os.getuid(), 0):
            return f"the cache {found} is not safe: {place} belongs to another user"
        if status.st_mode & OTHERS_WRITE and not (status.st_mode & stat.S_ISVTX and place != found):
            return f"the cache {found} is not safe: others may write to {place}"
    return "" if os.access(found, os.W_OK) else f"the cache {found} cannot be written to"


def _private(problem: str) -> Path:
    try:
        made = tempfile.TemporaryDirectory(prefix="tidegate-", ignore_cleanup_errors=True)
    except OSError as error:
        raise BackendError("CACHE", f"{problem}; nor can {tempfile.gettempdir()}: {error}", fix=_FIX) from error
    _kept.append(made)
    warnings.warn(f"{problem}. Cells are compiled again in each process — {_FIX}", TidegateWarning, stacklevel=2)
    return Path(made.name)


_FIX = "set TIDEGATE_CACHE to a folder that only you can write to"
_kept: list[tempfile.TemporaryDirectory[str]] = []  # each is removed with its object


def seal(path: Path) -> None:
    """Append the hash of a library to it, and wait until the disk has all of it."""
    with path.open("r+b") as file:
        digest = hashlib.sha256(file.read()).digest()
        file.write(SEAL + digest)
        file.flush()
        os.fsync(file.fileno())


def whole(path: Path) -> ctypes.CDLL | None:
    """The loaded library; None if it is not there, damaged, or not a file of this user alone.

    Raises:
        OSError: the system cannot load it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not _own(os.fstat(descriptor)) or not _sealed(file.read()):
            return None
        # What was checked is what is loaded, whatever the name stands for by now. The loader knows libraries by
        # name and numbers of descriptors return, so each gets a name of its own.
        by_descriptor = f"/proc/self/fd{'/' * next(_opened)}{descriptor}"
        return ctypes.CDLL(by_descriptor if sys.platform == "linux" else str(path))


def _own(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid in (os.getuid(), 0) and not status.st_mode & OTHERS_WRITE and status.st_nlink == 1


def _sealed(content: bytes) -> bool:
    library, mark = content[: -HASH_BYTES - len(SEAL)], content[-HASH_BYTES - len(SEAL) :]
    return mark == SEAL + hashlib.sha256(library).digest()


@contextmanager
def making(path: Path) -> Iterator[Path]:
    """A folder beside a library in which it is made; one process makes it while others wait."""
    with _locked(path.with_suffix(".lock")):
        _remove_abandoned(path.parent)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=path.parent, ignore_cleanup_errors=True) as made:
            yield Path(made)


def _remove_abandoned(parent: Path) -> None:
    for entry in parent.glob(f"{UNFINISHED}*"):
        with suppress(FileNotFoundError):  # another process has just finished there
            if time.time() - entry.lstat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(entry, ignore_errors=True)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    """The system lets go of the lock however a process ends."""
    try:
        import fcntl
    except ImportError:  # not a Unix: two processes may make the same library, and the last one's stays
        yield
        return
    with os.fdopen(os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
