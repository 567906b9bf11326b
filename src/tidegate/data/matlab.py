"""MATLAB files (version 5 to 7): cell arrays of numeric matrices, the only content that is read.

scipy's reader allocates gigabytes for a damaged header of 300 bytes and crashes on deeply nested cells. This one
allocates no more than the file contains and reads two levels.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER = 128
INT8, INT32, UINT32, MATRIX, COMPRESSED = 1, 5, 6, 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"}
CELL, DOUBLE, UINT64 = 1, 6, 15
UNPACKED = 1 << 28  # largest size of an unpacked part, in bytes

Numbers = NDArray[np.generic]


class _Element(NamedTuple):
    kind: int
    data: bytes


class _Matrix(NamedTuple):
    kind: int
    shape: tuple[int, ...]
    name: str
    parts: Iterator[_Element]


def read_cells(raw: bytes, names: tuple[str, ...]) -> dict[str, list[Numbers]]:
    """The matrices of each cell array with one of these names, in file order.

    Raises:
        ValueError: the file or an array has another format; the message says which.
    """
    if raw[:10] != b"MATLAB 5.0" or raw[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is not a MATLAB file of version 5 to 7; save it with -v7")
    order = "<" if raw[126:128] == b"IM" else ">"
    cells: dict[str, list[Numbers]] = {}
    for element in _elements(raw[HEADER:], order):
        if element.kind != MATRIX:
            continue
        variable = _matrix(element.data, order)
        if variable.name in names:
            cells[variable.name] = list(_cell(variable, order))
    return cells


def _elements(data: bytes, order: str, *, packed: bool = False) -> Iterator[_Element]:
    """The elements of one level. Compressed elements are unpacked, but not inside another (``packed``) one."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # small element: kind, size and up to four bytes of data in eight bytes
            kind, size, start, at = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            at = start + size + (0 if kind == COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError(
                f"an element has {size:,} bytes, but only {len(data) - start:,} are left: the file was cut off"
            )
        content = data[start : start + size]
        if kind == COMPRESSED and packed:
            raise ValueError("a compressed part is inside another one")
        if kind == COMPRESSED:
            yield from _elements(_unpacked(content), order, packed=True)
        else:
            yield _Element(kind, content)


def _unpacked(data: bytes) -> bytes:
    machine = zlib.decompressobj()
    try:
        content = machine.decompress(data, UNPACKED)
    except zlib.error as error:
        raise ValueError(f"a compressed part cannot be unpacked ({error})") from None
    if not machine.eof:
        what = f"is larger than {UNPACKED:,} bytes" if machine.unconsumed_tail else "was cut off"
        raise ValueError(f"a compressed part {what}")
    return content


def _matrix(data: bytes, order: str) -> _Matrix:
    parts = _elements(data, order, packed=True)
    try:
        flags, sizes, name = next(parts), next(parts), next(parts)
        kind = struct.unpack_from(f"{order}I", flags.data)[0] & 0xFF
    except (StopIteration, struct.error):
        raise ValueError("a matrix has no flags, sizes and name") from None
    if (flags.kind, sizes.kind, name.kind) != (UINT32, INT32, INT8) or len(sizes.data) % 4:
        raise ValueError("a matrix has no flags, sizes and name")
    shape = struct.unpack(f"{order}{len(sizes.data) // 4}i", sizes.data)
    return _Matrix(kind, shape, name.data.decode("latin-1"), parts)


def _cell(variable: _Matrix, order: str) -> Iterator[Numbers]:
    if variable.kind != CELL:
        raise ValueError(f"{variable.name!r} is not a cell array")
    for place, element in enumerate(variable.parts):
        yield _numbers(_matrix(element.data, order), order, f"cell {place} of {variable.name!r}")


def _numbers(matrix: _Matrix, order: str, where: str) -> Numbers:
    if not DOUBLE <= matrix.kind <= UINT64:
        raise ValueError(f"{where} is not a matrix of numbers")
    element = next(matrix.parts, None)
    if element is None or element.kind not in NUMBERS:
        raise ValueError(f"{where} has no numbers")
    values = np.frombuffer(element.data, dtype=order + NUMBERS[element.kind])
    if len(matrix.shape) != 2 or min(matrix.shape) < 0 or matrix.shape[0] * matrix.shape[1] != len(values):
        size = " x ".join(map(str, matrix.shape))
        raise ValueError(f"{where} should be {size}, but has {len(values)} numbers")
    return values.reshape(matrix.shape, order="F")
