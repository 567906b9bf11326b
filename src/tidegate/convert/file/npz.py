"""An .npz file: NumPy's arrays by name; never a pickle."""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from tidegate.convert.file.archive import check_size, opened, refusing
from tidegate.convert.file.named import layers_of
from tidegate.convert.found import FoundLayer

SUFFIX = ".npy"


def read(path: Path) -> list[FoundLayer]:
    """Its recurrent layers, by the names of their arrays.

    Raises:
        InputError: it is damaged, much larger when unpacked, or holds pickled objects.
    """
    arrays = {}
    damages = (ValueError, TypeError, OSError, MemoryError, RecursionError, SyntaxError, TokenError)
    with opened(path) as archive, refusing(path, *damages):
        for member in archive.infolist():
            if member.filename.endswith(SUFFIX):
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(SUFFIX)] = _array(path, stream)
    return layers_of(arrays)


def _array(path: Path, stream: IO[bytes]) -> Any:
    """An array whose header does not promise more than the file can hold."""
    version = npy.read_magic(stream)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"an array of format {version}")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which may run code")
    check_size(path, math.prod(shape) * dtype.itemsize)
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)
