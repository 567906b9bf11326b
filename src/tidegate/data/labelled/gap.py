"""Missing values of series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.data.labelled.record import Values


def filled(series: Sequence[Values]) -> tuple[tuple[Values, ...], tuple[str, ...]]:
    """Series without gaps, and warnings about what was filled.

    Steps at the end that no channel has are padding and are cut off. Else a gap is filled along the line between
    its neighbours in time, at an end with the nearest value; a channel that a series lacks altogether stays NaN.
    """
    if not any(np.isnan(one).any() for one in series if one.dtype.kind == "f"):
        return tuple(series), ()
    cut = [one[: _end(one)] for one in series]
    missing = int(sum(np.isnan(one).sum() for one in cut))
    warnings = (f"{missing} missing values were filled from their neighbours in time",) if missing else ()
    return tuple(map(_interpolated, cut)), warnings


def _end(values: Values) -> int:
    there = np.flatnonzero(~np.isnan(values).all(axis=1))
    return int(there[-1]) + 1 if len(there) else 1


def _interpolated(values: Values) -> NDArray[np.float64]:
    made = values.astype(np.float64)
    for channel in made.T:
        gaps = np.isnan(channel)
        if gaps.any() and not gaps.all():
            channel[gaps] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), channel[~gaps])
    return made
