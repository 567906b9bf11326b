"""Which rows train, which validate and which are kept for the test."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def stratified(
    keys: Sequence[Hashable], classes: Sequence[int], shares: Sequence[float], seed: int
) -> list[Rows]:
    """Rows drawn in the given shares, and last the rows that are left, each class in proportion.

    Rows with the same key stay together, so that no part holds a copy of another part's row. Of a class with one
    key only all rows are left to the last part, which is for training.

    Args:
        keys: of each row.
        classes: of each row.
        shares: of each part but the last; together at most 1/2.
        seed: of the draw.

    Examples:
        >>> parts = stratified("aabcdefghi", [0] * 10, [0.2], seed=0)
        >>> sorted(map(len, parts)), sorted(np.concatenate(parts).tolist()) == list(range(10))
        ([2, 8], True)
    """
    groups: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        groups.setdefault(key, []).append(row)
    members = list(groups.values())
    place = _places(np.array([classes[rows[0]] for rows in members]), np.random.default_rng(seed))
    order = np.argsort(place, kind="stable")
    before = np.cumsum([0, *(len(members[group]) for group in order)])[:-1]  # rows that come first
    edges = np.cumsum(shares) * len(keys) - 0.5
    part = np.where(place[order] < 1, np.searchsorted(edges, before, side="right"), len(shares))
    return [
        np.sort([row for group in order[part == k] for row in members[group]]).astype(np.int64)
        for k in range(len(shares) + 1)
    ]


def _places(classes: Rows, rng: np.random.Generator) -> NDArray[np.float64]:
    """A number in [0, 1) for each group, evenly spread within each class; 1 for a class's only group."""
    place = np.ones(len(classes))
    for kind in np.unique(classes):
        rows = rng.permutation(np.flatnonzero(classes == kind))
        if len(rows) > 1:
            place[rows] = (np.arange(len(rows)) + rng.random()) / len(rows)
    return place
