"""Files that are either old or new, never half; and folders that one process holds at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a draft next to ``path``, make sure that it is on the disk, and move it there in one step.

    Text is written as UTF-8 with its line ends unchanged. A killed process or a power cut leaves either the old file
    or the new one.

    Args:
        path: the file; its folder is made if it does not exist.
        content: what the file shall hold.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def alone(lock: Path, taken: Exception) -> Iterator[None]:
    """Hold a lock file; the system releases it however the process ends.

    Args:
        lock: the file; its folder is made if it does not exist.
        taken: raised where another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise taken from None
