"""Ridge regression on the last values of a series: one weight vector for each step ahead."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.tasks.forecast.split import Span

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
LAGS = (1, 2, 4, 8, 16, 32, 64, 168, 336, 672)
SEASONS = (1, 2, 7)
MOST = 1024  # lags
FITTED, VALIDATED, ROLLED = 100_000, 3_000, 256  # most origins to fit, to validate, and to validate by recursion
WIDEST = 24  # half powers of ten: the smallest and the largest strength


@dataclass(frozen=True)
class Linear:
    """A linear forecast of the change from the last value, with an intercept.

    Equations:
        f[t + k] = z[t] + sum_j W[j, k] z[t - j] + w[k];  beyond the last step k, from the forecasts so far

    Attributes:
        weights: [lags + 1, steps], the oldest value first and the intercept last.
    """

    weights: Values

    @property
    def order(self) -> int:
        """The number of values that it reads."""
        return len(self.weights) - 1

    def forecast(self, levels: Values, origin: Rows, horizon: int) -> Values:
        """[rows, horizon] forecasts of a series from these rows."""
        return self.continued(features(levels, origin, self.order), horizon)

    def continued(self, past: Values, horizon: int) -> Values:
        """[rows, horizon] forecasts from the last values [rows, lags]."""
        order, steps = self.order, self.weights.shape[1]
        if steps >= horizon:
            return past[:, -1:] + past @ self.weights[:-1, :horizon] + self.weights[-1, :horizon]
        path = np.empty((len(past), order + horizon))
        path[:, :order] = past
        for at in range(0, horizon, steps):
            weights = self.weights[:, : min(steps, horizon - at)]
            now = path[:, at : at + order]
            path[:, at + order : at + order + weights.shape[1]] = now[:, -1:] + now @ weights[:-1] + weights[-1]
        return path[:, order:]

    def rounded(self) -> Linear:
        """The same in single precision, as it is stored."""
        return Linear(self.weights.astype(np.float32).astype(np.float64))

    def to_text(self) -> str:
        """The number of steps and the weights in single precision, as base 64."""
        return f"{self.weights.shape[1]}:{b64encode(self.weights.astype('<f4').tobytes()).decode()}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Restore it from ``to_text``.

        Raises:
            ValueError: the text holds no matrix of finite weights.
        """
        steps, _, content = text.partition(":")
        flat = np.frombuffer(b64decode(content, validate=True), "<f4").astype(np.float64)
        if not steps.isdecimal() or not int(steps) or len(flat) % int(steps) or len(flat) < 2 * int(steps):
            raise ValueError("the weights of the ridge regression are not a matrix")
        if not np.isfinite(flat).all():
            raise ValueError("the weights of the ridge regression are not finite")
        return cls(flat.reshape(-1, int(steps)))


def features(levels: Values, origin: Rows, order: int) -> Values:
    """[rows, order] the last values, oldest first; the first row is repeated before the start."""
    values: Values = levels[np.maximum(origin[:, None] + np.arange(1 - order, 1), 0)]
    return values


def ahead_of(levels: Values, origin: Rows, horizon: int) -> Values:
    """[rows, steps] the values that follow each row."""
    values: Values = levels[origin[:, None] + np.arange(1, horizon + 1)]
    return values


Restore = Callable[[int, Rows, Values], Values]  # series, rows, forecasts [rows, steps] from them


def _same(series: int, origin: Rows, values: Values) -> Values:
    del series, origin
    return values


@dataclass(frozen=True)
class Fit:
    """A ridge regression, its mean squared error in validation, and its strength."""

    linear: Linear
    error: float
    strength: float


@dataclass(frozen=True)
class Check:
    """How forecasts are validated.

    Attributes:
        series: the levels of each series, from its first row to the end of validation at least.
        spans: the span of each series, counted from its first row.
        horizon: steps ahead.
        restore: converts forecasts and true values to the unit in which errors are compared.
    """

    series: Sequence[Values]
    spans: Sequence[Span]
    horizon: int
    restore: Restore = _same

    def error(self, linear: Linear) -> float:
        """The mean squared error in validation; infinite where forecasts overflow."""
        most = VALIDATED if linear.weights.shape[1] == self.horizon else ROLLED
        parts = [np.arange(span.first - 1, span.second - self.horizon) for span in self.spans]
        step = stride(map(len, parts), most)
        total, count = 0.0, 0
        with np.errstate(over="ignore", invalid="ignore"):
            for place, (levels, rows) in enumerate(zip(self.series, parts, strict=True)):
                origin = rows[::step]
                truth = self.restore(place, origin, ahead_of(levels, origin, self.horizon))
                miss = truth - self.restore(place, origin, linear.forecast(levels, origin, self.horizon))
                total, count = total + float((miss**2).sum()), count + miss.size
        return total / count if np.isfinite(total) else np.inf


def ridge(check: Check, *, period: int = 1, recursive: bool = False, lags: Sequence[int] | None = None) -> Fit:
    """Fit a ridge regression to the training rows, with the lags, the level and the strength that validate best.

    Equations:
        minimise |Y - X W - 1 w'|^2 / N + strength |W|^2,  Y = [z[t + k] - z[t], k = 1, ..., steps]
        X = [z[t - j] - z[t], j = 1, ..., lags - 1], with z[t] itself or without

    Strengths are powers of ten and, next to the best of these, half powers. More are tried while the best is the
    smallest or the largest.

    Args:
        check: the series, and how forecasts are validated.
        period: rows of a season; lags of one, two and seven seasons are tried, too.
        recursive: whether one step is fitted, and further ones read the model's own forecasts.
        lags: the numbers of lags to try; all that leave most training rows for fitting unless given.

    References:
        Hoerl and Kennard 1970, doi 10.1080/00401706.1970.10488634. The last value is subtracted as in NLinear of Zeng
        et al. 2022, arXiv 2205.13504.
    """
    steps = 1 if recursive else check.horizon
    shortest = min(span.first for span in check.spans)
    fits = [
        _searched(solve, check)
        for order in lags or _lags(shortest, check.horizon, period)
        for solve in _solvers(check, order, steps)
    ]
    return min(fits, key=lambda fit: fit.error)


def _lags(shortest: int, horizon: int, period: int) -> list[int]:
    wanted = {*LAGS, horizon, 2 * horizon, *(count * period for count in SEASONS)}
    most = min(MOST, max(1, (shortest - horizon) // 3))
    return sorted(order for order in wanted if order <= most)


def _solvers(check: Check, order: int, steps: int) -> Iterator[Callable[[float], Linear]]:
    """Functions from a strength to a fit: without the last value as a feature, and with it."""
    known, wanted, gram, cross = _moments(check, order, steps)
    for kept in (order - 1, order) if order > 1 else (order,):
        values, vectors = np.linalg.eigh(gram[:kept, :kept])
        turned = vectors.T @ cross[:kept]

        yield partial(_solved, order, np.maximum(values, 0.0), vectors, turned, known, wanted)


def _solved(
    order: int, values: Values, vectors: Values, turned: Values, known: Values, wanted: Values, strength: float
) -> Linear:
    """The weights of past values from those of differences."""
    relative = vectors @ (turned / (values + strength)[:, None])
    weights = np.zeros((order + 1, len(wanted)))
    weights[: len(relative)] = relative
    weights[order - 1] -= relative[: order - 1].sum(0)
    weights[order] = wanted - known[: len(relative)] @ relative
    return Linear(weights)


def _moments(check: Check, order: int, steps: int) -> tuple[Values, Values, Values, Values]:
    """Means of features and of changes over the training rows, and their centred mean products."""
    step = stride((span.first - steps - order + 1 for span in check.spans), FITTED)
    sums: list[Any] = [0, 0.0, 0.0, 0.0, 0.0]
    for levels, span in zip(check.series, check.spans, strict=True):
        origin = np.arange(order - 1, span.first - steps, step)
        past = features(levels, origin, order)
        past[:, :-1] -= past[:, -1:]
        change = ahead_of(levels, origin, steps) - levels[origin][:, None]
        new = len(origin), past.sum(0), change.sum(0), past.T @ past, past.T @ change
        sums = [one + other for one, other in zip(sums, new, strict=True)]
    known, wanted, gram, cross = (total / sums[0] for total in sums[1:])
    return known, wanted, gram - np.outer(known, known), cross - np.outer(known, wanted)


def _searched(solve: Callable[[float], Linear], check: Check) -> Fit:
    """The fit of the strength that validates best."""
    fits: dict[int, Fit] = {}  # by half powers of ten

    def tried(half: int) -> Fit:
        if half not in fits:
            linear = solve(10.0 ** (half / 2))
            fits[half] = Fit(linear, check.error(linear), 10.0 ** (half / 2))
        return fits[half]

    def best() -> int:
        return min(sorted(fits, reverse=True), key=lambda half: tried(half).error)  # of equals, the strongest

    for half in range(-8, 3, 2):
        tried(half)
    while best() in (min(fits), max(fits)) and abs(best()) < WIDEST:
        tried(best() + (2 if best() == max(fits) else -2))
    for half in (best() - 1, best() + 1):
        tried(half)
    return fits[best()]


def stride(rows: Iterable[int], most: int) -> int:
    """The stride that leaves at most so many rows."""
    return max(1, -(-sum(rows) // most))
