"""Readers of other packages: whatever they raise becomes one error that names the file."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.errors import InputError, TidegateError

LONGEST = 200  # characters of a reason
OF_CODE = re.compile(
    r"\w(?:Error|Exception)\b|thrift|'\w+' object|object is not"
)  # says nothing to who has only the file


@contextmanager
def foreign(code: str, what: str, fix: str) -> Iterator[None]:
    """Turn what a reader raises in this block into an error of ours; those of ours pass unchanged.

    A damaged file can make a reader raise anything: zlib's own error, ``TokenError``, ``RecursionError``.

    Args:
        code: of the error.
        what: the file and what it is not, such as ``"a.npz is not a readable archive"``.
        fix: what to do about it.

    Raises:
        InputError: the block has raised anything but an interruption.
    """
    try:
        yield
    except TidegateError:
        raise
    except Exception as error:  # noqa: BLE001  the point of this function
        raise InputError(code, f"{what}: {_reason(error)}", fix=fix) from None


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, zlib.error):
        return "its compressed data are damaged"
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    reason = " ".join(str(error).split())[:LONGEST]
    return reason if reason and not OF_CODE.search(reason) else "it is damaged"
