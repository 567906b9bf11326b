"""Nearest neighbours by dynamic time warping."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.phase import counted

Series = NDArray[np.float64]


def warped_neighbours(queries: Series, known: Series) -> NDArray[np.int64]:
    """For each query the index of the nearest known series.

    Args:
        queries: [N, T, C].
        known: [M, T, C].
    """
    nearby = counted("baseline: nearest neighbours by dynamic time warping", queries, len(queries))
    return np.array([int(np.argmin(warped(query, known))) for query in nearby])


def warped(query: Series, known: Series) -> NDArray[np.float64]:
    """Distances [M] by dynamic time warping.

    Equations:
        D[i, j] = |a[i] - b[j]|^2 + min(D[i-1, j], D[i, j-1], D[i-1, j-1]);  distance = D[T-1, T-1]

    All known series advance together, one diagonal i + j of the table at a time.

    Args:
        query: [T, C].
        known: [M, T, C].

    References:
        Sakoe and Chiba 1978, doi 10.1109/TASSP.1978.1163055, without slope weights and window.
    """
    steps = len(query)
    cost = ((query[None, :, None] - known[:, None]) ** 2).sum(-1)  # [M, T, T]
    before = last = np.full((len(known), steps), np.inf)  # of diagonal d - 2 and d - 1; column i holds D[i, d - i]
    for diagonal in range(2 * steps - 1):
        rows = np.arange(max(0, diagonal - steps + 1), min(diagonal, steps - 1) + 1)
        least = np.zeros((len(known), len(rows)))
        if diagonal:
            above, across = (
                _shifted(diagonal_costs)[:, rows] for diagonal_costs in (last, before)
            )  # D[i-1, j], D[i-1, j-1]
            least = np.minimum(np.minimum(above, last[:, rows]), across)
        now = np.full_like(last, np.inf)
        now[:, rows] = cost[:, rows, diagonal - rows] + least
        before, last = last, now
    distances: NDArray[np.float64] = last[:, -1]
    return distances


def _shifted(table: Series) -> Series:
    return np.concatenate([np.full((len(table), 1), np.inf), table[:, :-1]], axis=1)
