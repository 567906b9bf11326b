"""Missing values of series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.data.labelled.record import Values


def filled(series: Sequence[Values]) -> tuple[tuple[Values, ...], tuple[str, ...]]:
    """The series without gaps, and a warning if any were filled.

    Final steps without a value in any channel are padding and are cut off. Other gaps are interpolated linearly in
    time, and filled with the nearest value at both ends. A channel without any value in a series stays NaN.
    """
    if not any(np.isnan(values).any() for values in series if values.dtype.kind == "f"):
        return tuple(series), ()
    cut = [values[: _end(values)] for values in series]
    missing = int(sum(np.isnan(values).sum() for values in cut))
    warnings = (f"{missing} missing values were interpolated in time",) if missing else ()
    return tuple(map(_interpolated, cut)), warnings


def _end(values: Values) -> int:
    present = np.flatnonzero(~np.isnan(values).all(axis=1))
    return int(present[-1]) + 1 if len(present) else 1


def _interpolated(values: Values) -> NDArray[np.float64]:
    series = values.astype(np.float64)
    for channel in series.T:
        gaps = np.isnan(channel)
        if gaps.any() and not gaps.all():
            channel[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), channel[~gaps])
    return series
