"""Zip archives of strangers: none is unpacked that becomes much larger than it is."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tidegate.errors import InputError, visible

TIMES, BYTES = 50, 1 << 20  # what is read may be 50 times as large as its file and 1 MiB; weights shrink by less than 2


def most(path: Path) -> int:
    """How many bytes may come out of a file."""
    return TIMES * path.stat().st_size + BYTES


def check_size(path: Path, size: int) -> None:
    """Refuse what is much larger than its file.

    Raises:
        InputError: it is.
    """
    if size > most(path):
        raise InputError(
            "READ_SIZE",
            f"{visible(str(path))} has {path.stat().st_size} bytes and would have {size} unpacked, more than {TIMES} "
            "times as many",
            fix="no file of weights does that: do not trust it",
        )


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip archive, once its members are known not to be too large.

    Raises:
        InputError: it is damaged, or too large when unpacked.
    """
    damages = (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, zlib.error)
    with refusing(path, *damages), zipfile.ZipFile(path) as archive:
        check_size(path, sum(member.file_size for member in archive.infolist()))
        yield archive


@contextmanager
def refusing(path: Path, *errors: type[Exception]) -> Iterator[None]:
    """Say of a file that it is damaged where a reader raises one of these.

    Raises:
        InputError: the reader did.
    """
    try:
        yield
    except InputError:
        raise
    except errors as error:
        text = visible(str(error) or type(error).__name__).partition("\\n")[0][:200]
        raise InputError(
            "READ_FILE", f"{visible(str(path))} is damaged: {text}", fix="get the file again from its source"
        ) from error
