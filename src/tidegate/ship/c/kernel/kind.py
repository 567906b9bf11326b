"""What a kernel is: a C function, and how the matrices that it reads are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[tuple[int, int], np.dtype[Any]]
Stored = np.ndarray[tuple[int], np.dtype[Any]]


@dataclass(frozen=True)
class Kernel:
    """A C function that adds the product of a matrix and a vector onto sums.

    Attributes:
        text: its C, with @ before every name that is ours. It needs ``stdint.h`` and ``string.h``.
        order: how the matrix is stored, for a comment.
        arrange: brings a matrix ``[rows, columns]`` into that order, as one row of numbers.
    """

    text: str
    order: str
    arrange: Callable[[Matrix], Stored]


def rows_in_groups(matrix: Matrix, size: int) -> list[Matrix]:
    """As many rows at a time as a kernel computes side by side, and then those that are left, one by one."""
    whole = len(matrix) - len(matrix) % size
    groups = [matrix[j : j + size] for j in range(0, whole, size)]
    return groups + [matrix[j : j + 1] for j in range(whole, len(matrix))]
