"""Series in memory as the table that a file would hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tidegate.errors import InputError

VALUE = "value"  # the column of a series without a name


def framed(data: Any, targets: Sequence[str]) -> pd.DataFrame | None:
    """A frame of series in memory; None for other data, such as a path.

    Args:
        data: a frame or series of pandas; or numbers, a list or an array [T] of one series, [T, K] of K series.
        targets: the columns to forecast, as far as they are named; the columns of an array take these names.

    Raises:
        InputError: an array has other dimensions, holds no numbers, or has not as many columns as there are names.
    """
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame(_name(data, targets))
    if not isinstance(data, (list, tuple, np.ndarray)):
        return None
    try:
        values = np.asarray(data, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(())
    if values.ndim not in (1, 2) or not values.size:
        raise InputError(
            "FIT_DATA",
            "data in memory must be numbers, [T] of one series or [T, K] of K series with a row for each time",
            fix="pass such a list or array, or a frame of pandas",
        )
    columns = values.reshape(len(values), -1)
    count = columns.shape[1]
    names = list(targets) or ([VALUE] if count == 1 else [f"{VALUE} {place}" for place in range(1, count + 1)])
    if len(names) != count:
        raise InputError(
            "FIT_DATA",
            f"the array has {count} columns, but target= names {len(names)}: {', '.join(map(repr, names))}",
            fix="name each column of the array, or leave out target= to forecast all",
        )
    return pd.DataFrame(columns, columns=names)


def _name(series: pd.Series[Any], targets: Sequence[str]) -> str:
    return str(series.name) if series.name is not None else next(iter(targets), VALUE)


def clock_of(frame: pd.DataFrame) -> str | None:
    """The name of the column that an index of dates becomes; None for another index."""
    if not isinstance(frame.index, (pd.DatetimeIndex, pd.PeriodIndex)):
        return None
    return "time" if frame.index.name is None else str(frame.index.name)
