"""Scores of forecasts over all origins of a split and all steps ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
DRAWS = 1000


@dataclass(frozen=True)
class Forecasts:
    """Forecasts made at many rows, in the target's unit.

    Attributes:
        series: [N] the series of each forecast.
        origin: [N] the last known row.
        quantiles: [N, steps, levels] in order.
        levels: the levels of the quantiles; the median is the point forecast.
    """

    series: Rows
    origin: Rows
    quantiles: Values
    levels: tuple[float, ...]

    @property
    def point(self) -> Values:
        """[N, steps] the medians."""
        medians: Values = self.quantiles[..., self.levels.index(0.5)]
        return medians


def point_scores(point: Values, truth: Values, naive: Values, sd: Values, *, mixed: bool = False) -> dict[str, float]:
    """Errors of point forecasts, averaged over all rows and steps.

    Equations:
        MASE = mean |e| / naive;  sMAPE = 200 mean |e| / (|y| + |f|);  MSE/var = mean (e / sd)^2

    Args:
        point: [N, steps] the forecasts.
        truth: [N, steps] true values.
        naive: [N] mean absolute error of the seasonal naive forecast in training; rows without one do not
            count, and without any there is no MASE.
        sd: [N] the standard deviation of each series in training.
        mixed: whether the series have several units, so that errors in them have no mean.

    References:
        Hyndman & Koehler 2006, doi 10.1016/j.ijforecast.2006.03.001.
    """
    error = np.abs(truth - point)
    size = np.abs(truth) + np.abs(point)
    counts = naive > 0
    scores = {
        "MSE/var": float(((error / sd[:, None]) ** 2).mean()),
        **({"MASE": float((error[counts] / naive[counts, None]).mean())} if counts.any() else {}),
        "sMAPE": float(200 * np.divide(error, size, out=np.zeros_like(error), where=size > 0).mean()),
    }
    return scores if mixed else scores | {"MAE": float(error.mean()), "RMSE": float(np.sqrt((error**2).mean()))}


def cover_interval(inside: NDArray[np.bool_], series: Rows, origin: Rows) -> tuple[float, float] | None:
    """The 95 % interval of how often an interval covers the truth, in percent, by the block bootstrap.

    Blocks of as many origins as rows are forecast are drawn a thousand times, around the end, each with the origins of
    all series at these places.

    Args:
        inside: [N, steps] whether the truth lies inside.
        series: [N] the series of each forecast.
        origin: [N] its row.

    Returns:
        The bounds, or None where there are not two blocks.

    References:
        Politis and Romano 1992, "A circular block-resampling procedure for stationary data".
    """
    first = np.full(series.max() + 1, origin.max())
    np.minimum.at(first, series, origin)
    place = origin - first[series]
    counts = np.bincount(place)
    means = np.bincount(place, inside.mean(1))
    length, steps = len(counts), inside.shape[1]
    if length < 2 * steps:
        return None
    starts = np.random.default_rng(0).integers(length, size=(DRAWS, -(-length // steps), 1))
    rows = ((starts + np.arange(steps)) % length).reshape(DRAWS, -1)
    low, high = np.quantile(means[rows].sum(1) / counts[rows].sum(1), [0.025, 0.975])
    return float(100 * low), float(100 * high)


def doubt(truth: Values, forecasts: Forecasts) -> str:
    """The interval of the coverage, in words."""
    inside = (forecasts.quantiles[..., 0] <= truth) & (truth <= forecasts.quantiles[..., -1])
    bounds = cover_interval(inside, forecasts.series, forecasts.origin)
    return f", {bounds[0]:.0f} to {bounds[1]:.0f} by the bootstrap" if bounds else ", few rows"


def quantile_scores(values: Values, truth: Values, levels: Sequence[float]) -> dict[str, float]:
    """The mean of twice the quantile losses, and how often the widest interval covers the truth, in percent.

    Equations:
        CRPS = mean over levels q of 2 max(q m, (q - 1) m),  m = truth - forecast

    It tends to the continuous ranked probability score as levels fill the unit interval.

    References:
        Gneiting & Raftery 2007, doi 10.1198/016214506000001437.
    """
    miss = truth[..., None] - values
    level = np.array(levels)
    inside = (values[..., 0] <= truth) & (truth <= values[..., -1])
    return {
        "CRPS": float(2 * np.maximum(level * miss, (level - 1) * miss).mean()),
        "coverage": float(100 * inside.mean()),
    }


def titled(name: str, value: float, levels: Sequence[float]) -> tuple[str, float, str, str]:
    """The name of a score as it is shown, its value, its unit, and what is better."""
    if name == "coverage":
        nominal = f"{100 * (levels[-1] - levels[0]):.4g}"
        return f"coverage of {levels[0]:g} to {levels[-1]:g}", value, "%", f"near {nominal}"
    return name, value, "%" if name == "sMAPE" else "", "lower"
