"""Files that are either old or new, never half, alone or as a set; and folders that one process holds at a time."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tidegate.errors import InputError

COMPLETE = ".complete"  # a folder with files of a set that is the current one, but does not lie in its place yet
FULL = (errno.ENOSPC, errno.EDQUOT)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a draft next to ``path``, make sure that it is on the disk, and move it there in one step.

    Text is written as UTF-8 with its line ends unchanged. A killed process or a power cut leaves either the old file
    or the new one.

    Args:
        path: the file; its folder is made if it does not exist.
        content: what the file shall hold.

    Raises:
        InputError: the disk is full, or the file may not be written.
    """
    raw = content.encode() if isinstance(content, str) else content
    draft = path.parent / f".{path.name}.{os.getpid()}.draft"
    with explained(path, len(raw)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(draft, raw)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


def replace_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace several files of a folder as one: whenever the process dies, ``current`` finds all old or all new ones.

    The new files are written into a folder of drafts. Its renaming to ``COMPLETE`` makes them current. Only then they
    move to their places, which changes nothing for ``current``; where a process died on the way, the next call ends it.

    Args:
        folder: made if it does not exist; no other process may write there.
        files: the content of each file by its name.

    Raises:
        InputError: the disk is full, or the folder may not be written.
    """
    draft = folder / f".{os.getpid()}.draft"
    with explained(folder, sum(map(len, files.values()))):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".*[0-9].draft"):  # of a killed process
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        _settle(folder)
        try:
            draft.mkdir()
            for name, content in files.items():
                _write(draft / name, content)
            sync(draft)
            draft.rename(folder / COMPLETE)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        sync(folder)
        _settle(folder)


def current(folder: Path, name: str) -> Path:
    """Where a file of the set is that ``replace_files`` wrote last; its place in the folder if there is none."""
    moving = folder / COMPLETE / name
    return moving if moving.is_file() else folder / name


def _settle(folder: Path) -> None:
    """Move the files of a complete set to their places."""
    complete = folder / COMPLETE
    if complete.is_dir():
        for file in complete.iterdir():
            file.replace(folder / file.name)
        complete.rmdir()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Make sure that the names in a folder are on the disk; Windows does so by itself."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def explained(path: Path, size: int) -> Iterator[None]:
    """Say what cannot be written, and how much space it needs if that is the reason."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            reason = error.strerror or str(error)
            raise InputError("UNWRITABLE", f"{path} cannot be written: {reason}", fix="choose another place") from error
        raise InputError(
            "DISK_FULL", f"the disk is full: {path} needs {size:,} bytes{_left(path)}", fix="free some space"
        ) from error


def _left(path: Path) -> str:
    """How much space is left, if that is known."""
    try:
        return f", and {shutil.disk_usage(path.parent).free:,} are free"
    except OSError:
        return ""


@contextmanager
def alone(lock: Path, taken: Exception | None = None, *, keep: bool = True) -> Iterator[None]:
    """Hold a lock file; the system releases it however the process ends.

    Args:
        lock: the file; its folder is made if it does not exist.
        taken: raised where another process holds it; unless given, this one waits until it is free.
        keep: whether the file stays when it is released.

    Raises:
        InputError: the folder may not be written.
    """
    with explained(lock, 0):
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock, timeout=0 if taken else -1)
        try:
            held.acquire()
        except Timeout as error:
            raise (taken or error) from None
    try:
        yield
    finally:
        if not keep:
            with suppress(OSError):  # Windows removes no open file
                lock.unlink()
        held.release()
