"""Archives of arrays as ``numpy.savez`` writes them."""

from __future__ import annotations

import io
import math
import sys
import zipfile
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from tidegate.data.packed import limit_of

ENCRYPTED = 0x1
SUFFIX = ".npy"


def read_npz(raw: bytes) -> dict[str, NDArray[Any]]:
    """The arrays of an archive by name. No pickle is read, and no more memory is used than ``limit_of`` allows.

    Args:
        raw: the content of the file.

    Raises:
        Exception: what ``zipfile`` and numpy raise for a damaged archive is not known; ``foreign`` translates it.
    """
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(SUFFIX)]
        total, limit = sum(member.file_size for member in members), limit_of(raw)
        if total > limit:
            raise ValueError(f"its {len(raw):,} bytes unpack to {total:,}, more than {limit:,}")
        if any(member.flag_bits & ENCRYPTED for member in members):
            raise ValueError("it is encrypted")
        return {member.filename.removesuffix(SUFFIX): _array(archive.read(member)) for member in members}


def _array(content: bytes) -> NDArray[Any]:
    file = io.BytesIO(content)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(npy.read_magic(file))
    if header is None:
        raise ValueError("an array has a header of another version than 1 or 2")
    shape, _, kind = header(file)
    left = len(content) - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * kind.itemsize > left:
        raise ValueError(f"an array of shape {list(shape)} and type {kind} has only {left:,} bytes")
    file.seek(0)
    array: NDArray[Any] = npy.read_array(file, allow_pickle=False)
    if kind.kind == "U" and kind.itemsize and (array.ravel().view(f"{kind.byteorder}u4") > sys.maxunicode).any():
        raise ValueError("an array of texts has numbers that stand for no character")
    return array
