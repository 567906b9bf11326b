"""Forecasts of a series from its own past, without a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.records import BaselineRecord

Values = NDArray[np.float64]
ORDERS = (1, 2, 4, 8, 16, 24, 32, 64)
PEAK = 0.3  # the least autocorrelation that is called a season
NEARLY = 0.9  # of the highest peak: multiples of a period peak as high as the period itself


def naive_forecasts(levels: Values, train: int, valid: int) -> list[BaselineRecord]:
    """Baselines for one-step-ahead forecasts, scored by mean absolute error.

    Args:
        levels: [rows] the target in standard deviations.
        train: the first row of validation.
        valid: the first row of the test.
    """
    truth, last = levels[valid:], levels[valid - 1 : -1]
    slope = (last - levels[0]) / np.arange(valid - 1, len(levels) - 1)
    records = [
        _record("persistence", truth, last, "the value before"),
        _record("drift", truth, last + slope, "the value before plus the mean change since the first row"),
    ]
    period, strength = season(levels[:train])
    if period:
        how = (
            f"the value {period} rows before; the period is a peak ({strength:.2f}) of the autocorrelation "
            "of the training rows"
        )
        records.append(_record("seasonal naive", truth, levels[valid - period : -period], how))
    return [*records, _autoregression(levels, train, valid)]


def _record(name: str, truth: Values, forecast: Values, how: str) -> BaselineRecord:
    return BaselineRecord(name, float(np.abs(truth - forecast).mean()), how)


def season(values: Values) -> tuple[int, float]:
    """The period of a series and the autocorrelation that shows it; period 0 where none is found.

    Looked at are the series less its straight line, and its changes: slow swings hide a short season
    in the one, noise hides it in the other. The period that repeats the values better counts.

    Examples:
        >>> season(np.sin(2 * np.pi * np.arange(120) / 12))[0]
        12
    """
    time = np.arange(len(values)) - (len(values) - 1) / 2
    rest = values - values.mean() - time * (time @ values) / (time @ time)
    found = [peak for peak in (_peak(rest), _peak(np.diff(values))) if peak[0]]
    return min(found, key=lambda peak: float(np.abs(rest[peak[0] :] - rest[: -peak[0]]).mean()), default=(0, 0.0))


def _peak(values: Values) -> tuple[int, float]:
    """The first lag, up to a third of the rows, at which the autocorrelation nearly has its highest peak.

    Peaks before it first falls below zero are ripples on the memory of a slow series, no season.
    """
    centred = values - values.mean()
    spectrum = np.abs(np.fft.rfft(centred, 2 * len(values))) ** 2  # zero padding: no lag wraps around
    power = np.fft.irfft(spectrum)[: len(values) // 3 + 1]
    inner = power[1:-1]
    turned = np.minimum.accumulate(inner) < 0
    peaks = 1 + np.flatnonzero(turned & (inner > power[:-2]) & (inner >= power[2:]))
    if not len(peaks) or power[peaks].max() < PEAK * power[0]:
        return 0, 0.0
    high = peaks[power[peaks] >= NEARLY * power[peaks].max()]
    best = int(next(lag for lag in high if power[lag] >= power[lag : lag + lag // 4 + 1].max()))
    return best, float(power[best] / power[0])


def _autoregression(levels: Values, train: int, valid: int) -> BaselineRecord:
    fits = {order: _linear(levels, order, train) for order in ORDERS if order == 1 or 4 * order <= train}
    order = min(fits, key=lambda order: float(fits[order][train - order : valid - order].mean()))
    how = f"linear in the last {order} values, least squares on training, order chosen on validation"
    return BaselineRecord("linear autoregression", float(fits[order][valid - order :].mean()), how)


def _linear(levels: Values, order: int, train: int) -> Values:
    """Absolute errors [rows - order] of the linear forecast of rows order, order + 1, ..."""
    past = np.lib.stride_tricks.sliding_window_view(levels[:-1], order)
    features = np.column_stack([past, np.ones(len(past))])
    change = levels[order:] - levels[order - 1 : -1]
    fitted = features[: train - order]
    ridge = 1e-2 * np.eye(order + 1)  # keeps repeated or unmoving values solvable
    weights = np.linalg.solve(fitted.T @ fitted + ridge, fitted.T @ change[: train - order])
    errors: Values = np.abs(features @ weights - change)
    return errors
