"""Forecasts of a series from its own past, without a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.tasks.forecast.split import Span

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
Forecast = Callable[[Values, Rows, int], Values]
ORDERS = (1, 2, 4, 8, 16, 24, 32, 64)


@dataclass(frozen=True)
class Naive:
    """A baseline: a function from levels of one series and rows to forecasts [rows, steps]."""

    name: str
    how: str
    forecast: Forecast


def naive_forecasts(series: Sequence[Values], spans: Sequence[Span], horizon: int, period: int) -> list[Naive]:
    """Fit all baselines to the training rows of series in standard deviations.

    Args:
        series: the levels of each series, from its first row on.
        spans: the span of each series, counted from its first row.
        horizon: steps ahead.
        period: rows of a season; 1 for none.
    """
    baselines = unfitted(period)
    baselines.append(_autoregression(series, spans, horizon, recursive=False))
    if horizon > 1:
        baselines.append(_autoregression(series, spans, horizon, recursive=True))
    return baselines


def unfitted(period: int) -> list[Naive]:
    """The baselines that need no training."""
    baselines = [
        Naive("persistence", "the last value", _persistence),
        Naive("drift", "the last value plus the mean change since the first row", _drift),
    ]
    if period > 1:

        def seasonal(levels: Values, origin: Rows, horizon: int) -> Values:
            ahead = np.arange(1, horizon + 1)
            values: Values = levels[np.maximum(origin[:, None] + ahead - period * -(-ahead // period), 0)]
            return values

        how = f"the value {period} rows before, a peak of the autocorrelation of the training rows unless given"
        baselines.append(Naive("seasonal naive", how, seasonal))
    return baselines


def _persistence(levels: Values, origin: Rows, horizon: int) -> Values:
    return np.repeat(levels[origin][:, None], horizon, axis=1)


def _drift(levels: Values, origin: Rows, horizon: int) -> Values:
    slope: Values = (levels[origin] - levels[0]) / np.maximum(origin, 1)
    forecasts: Values = levels[origin][:, None] + slope[:, None] * np.arange(1, horizon + 1)
    return forecasts


@dataclass(frozen=True)
class Linear:
    """A linear autoregression of changes on the last values, with an intercept.

    Attributes:
        weights: [order + 1, steps], the intercept last; further steps read the model's own forecasts.
    """

    weights: Values

    @property
    def order(self) -> int:
        """The number of values that it reads."""
        return len(self.weights) - 1

    def forecast(self, levels: Values, origin: Rows, horizon: int) -> Values:
        """[rows, horizon] forecasts of a series from these rows."""
        past = _features(levels, origin, self.order)
        if self.weights.shape[1] >= horizon:
            forecasts: Values = levels[origin][:, None] + past @ self.weights[:, :horizon]
            return forecasts
        for _ in range(horizon):
            value = past[:, -2] + past[:, -self.order - 1 :] @ self.weights[:, 0]
            past = np.column_stack([past[:, :-1], value, past[:, -1]])
        return past[:, self.order : -1]


def linear(series: Sequence[Values], spans: Sequence[Span], horizon: int, *, steps: int, most: int) -> Linear:
    """Fit a linear autoregression by least squares on training, with the order that validates best.

    Args:
        series: the levels of each series, from its first row on.
        spans: the span of each series, counted from its first row.
        horizon: steps ahead in validation.
        steps: the number of steps to fit: all of them, or one.
        most: the largest order.
    """
    shortest = min(span.first for span in spans)
    wanted = {order for order in (*ORDERS, horizon, 2 * horizon) if 4 * order <= shortest + 3 - 3 * steps}
    orders = sorted(order for order in wanted if order <= most) or [1]
    fits = [Linear(_least_squares(series, spans, order, steps)) for order in orders]
    origins = [np.arange(span.first - 1, span.second - horizon) for span in spans]
    return min(fits, key=lambda fit: _error(fit.forecast, series, origins, horizon))


def _autoregression(series: Sequence[Values], spans: Sequence[Span], horizon: int, *, recursive: bool) -> Naive:
    steps = 1 if recursive else horizon
    fit = linear(series, spans, horizon, steps=steps, most=max(*ORDERS, 2 * horizon))
    kind = "recursive linear autoregression" if recursive else "linear autoregression"
    how = f"linear in the last {fit.order} values, least squares on training, order chosen on validation"
    return Naive(kind, how + (", fed with its own forecasts" if recursive else ""), fit.forecast)


def _error(forecast: Forecast, series: Sequence[Values], origins: Sequence[Rows], horizon: int) -> float:
    misses = [
        np.abs(ahead_of(levels, origin, horizon) - forecast(levels, origin, horizon))
        for levels, origin in zip(series, origins, strict=True)
    ]
    return float(np.concatenate(misses).mean())


def ahead_of(levels: Values, origin: Rows, horizon: int) -> Values:
    """[rows, steps] the values that follow each row."""
    values: Values = levels[origin[:, None] + np.arange(1, horizon + 1)]
    return values


def _least_squares(series: Sequence[Values], spans: Sequence[Span], order: int, steps: int) -> Values:
    features, changes = [], []
    for levels, span in zip(series, spans, strict=True):
        origin = np.arange(order - 1, span.first - steps)
        features.append(_features(levels, origin, order))
        changes.append(ahead_of(levels, origin, steps) - levels[origin][:, None])
    known, wanted = np.concatenate(features), np.concatenate(changes)
    ridge = 1e-2 * np.eye(order + 1)  # keeps repeated or unmoving values solvable
    return np.asarray(np.linalg.solve(known.T @ known + ridge, known.T @ wanted), dtype=np.float64)


def _features(levels: Values, origin: Rows, order: int) -> Values:
    """[rows, order + 1] the last values, oldest first, and a one; the first row is repeated before the start."""
    back = np.arange(1 - order, 1)
    return np.column_stack([levels[np.maximum(origin[:, None] + back, 0)], np.ones(len(origin))])
