"""Forecasts of a series from its own past, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.language import say
from tidegate.tasks.forecast.grid import Grid

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
Forecast = Callable[[int, Rows, int], Values]


@dataclass(frozen=True)
class Naive:
    """A baseline: a function from a series, rows of it and steps ahead to forecasts [rows, steps].

    Rows are counted from the first of the series, and forecasts are in its standard deviations.
    """

    name: str
    how: str
    forecast: Forecast


def baselines(grid: Grid) -> list[Naive]:
    """The fixed baselines: persistence, drift, the season if there is one, and the ridge regression.

    Args:
        grid: the series. Models of earlier versions have no ridge regression.
    """
    found = naive(
        [
            grid.standard(grid.truth[span.start : span.end, None], np.array([place]))[:, 0]
            for place, span in enumerate(grid.spans)
        ],
        grid.encoding.season,
    )
    linear = grid.encoding.forecaster
    if linear is None:
        return found

    def ridge(place: int, origin: Rows, horizon: int) -> Values:
        rows = torch.from_numpy(origin + grid.spans[place].start)
        return grid.restored(place, origin, grid.linearly(rows, horizon).numpy())

    return [*found, Naive(say("ridge"), _told(grid), ridge)]


def _told(grid: Grid) -> str:
    encoding = grid.encoding
    assert encoding.forecaster is not None
    order = encoding.forecaster.order
    values = say("the last {count} values", count=order)
    if encoding.logs:
        values = say("logarithms of the last {count} values", count=order)
    if encoding.effect:
        values = say("{values}, and linear in what is known ahead", values=values)
    return say(
        "ridge regression of each step on {values}; fitted to training rows, chosen on validation", values=values
    )


def naive(series: Sequence[Values], period: int) -> list[Naive]:
    """The baselines that need no training.

    Args:
        series: the values of each series, in its standard deviations.
        period: rows of a season; 1 for none.
    """

    def persistence(place: int, origin: Rows, horizon: int) -> Values:
        return np.repeat(series[place][origin][:, None], horizon, axis=1)

    def drift(place: int, origin: Rows, horizon: int) -> Values:
        now, first = series[place][origin], series[place][0]
        slope: Values = (now - first) / np.maximum(origin, 1)
        forecasts: Values = now[:, None] + slope[:, None] * np.arange(1, horizon + 1)
        return forecasts

    def seasonal(place: int, origin: Rows, horizon: int) -> Values:
        ahead = np.arange(1, horizon + 1)
        values: Values = series[place][np.maximum(origin[:, None] + ahead - period * -(-ahead // period), 0)]
        return values

    found = [
        Naive(say("persistence"), say("the last value"), persistence),
        Naive(say("drift"), say("the last value plus the mean change since the first row"), drift),
    ]
    if period > 1:
        how = say(
            "the value {period} rows before, a peak of the autocorrelation of the training rows unless given",
            period=period,
        )
        found.append(Naive(say("seasonal naive"), how, seasonal))
    return found
