"""Gaps of a series: the times of rows that are missing, and values for what is empty."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.step import Times, later

MOST = 10  # times as many rows as there are

Values = NDArray[np.float64]
Rows = NDArray[np.intp]


def rows_between(times: Times) -> float:
    """How often the smallest step fits between the first row and the last."""
    steps = np.diff(times.index.to_numpy())
    return float((times.index[-1] - times.index[0]) / steps.min())


def on_grid(times: Times, step: str) -> tuple[Times, Rows] | None:
    """The times of a series with those of its missing rows, and the place of each row among them.

    Returns:
        None where the rows do not lie on one grid of this step.
    """
    count = int(np.ceil(rows_between(times)))
    grid = times.index[:1].append(pd.Index(later(times.index[0], step, count)))
    if isinstance(times.index, pd.DatetimeIndex):
        places = grid.get_indexer(times.index)
    else:
        numbers = times.index.to_numpy()
        places = np.clip(np.rint((numbers - numbers[0]) / float(step)), 0, count).astype(np.intp)
        places[~np.isclose(grid.to_numpy()[places], numbers)] = -1
    if (np.diff(places, prepend=-1) <= 0).any():
        return None
    whole = grid[: places[-1] + 1]
    return Times(whole, _local(times, whole, places)), places


def _local(times: Times, whole: pd.Index[Any], places: Rows) -> pd.Index[Any]:
    """What wall clocks show: as written where there is a row, and with the offset of the row before where none is."""
    if not isinstance(times.index, pd.DatetimeIndex) or times.index.tz is None:
        return whole
    offsets = pd.Series(pd.DatetimeIndex(times.local) - times.index.tz_localize(None), index=places)
    zoned = pd.DatetimeIndex(whole).tz_localize(None)
    return zoned + pd.TimedeltaIndex(offsets.reindex(range(len(whole))).ffill())


def filled(values: Values, *, line: bool) -> Values:
    """A series without gaps.

    Args:
        values: [rows] with NaN where there is none.
        line: whether a gap is filled by a straight line between its neighbours, or by the value before it. Rows before
            the first value take that value, and those behind the last one the last.

    Examples:
        >>> filled(np.array([np.nan, 1.0, np.nan, 3.0, np.nan]), line=True).tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]
        >>> filled(np.array([np.nan, 1.0, np.nan, 3.0, np.nan]), line=False).tolist()
        [1.0, 1.0, 1.0, 3.0, 3.0]
    """
    empty = np.isnan(values)
    if not empty.any() or empty.all():
        return values
    rows = np.arange(len(values))
    if line:
        return np.interp(rows, rows[~empty], values[~empty])
    last = np.maximum.accumulate(np.where(empty, np.argmin(empty), rows))
    whole: Values = values[last]
    return whole


def longest_run(flags: NDArray[np.bool_]) -> int:
    """The most flags in a row.

    Examples:
        >>> longest_run(np.array([True, False, True, True]))
        2
    """
    ends = np.flatnonzero(~np.append(flags, values=False))
    return int(np.diff(ends, prepend=-1).max()) - 1
