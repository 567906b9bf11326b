"""The period of a series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
PEAK = 0.3  # the least autocorrelation of a season
NEARLY = 0.9  # of the highest peak: multiples of a period peak as high as the period itself


def season(values: Values) -> tuple[int, float]:
    """Estimate the period of a series and its autocorrelation; the period is 0 if there is none.

    Both the detrended series and its changes are tested: slow swings hide a short season in the former, noise in the
    latter. The period that repeats the values better wins.

    Examples:
        >>> season(np.sin(2 * np.pi * np.arange(120) / 12))[0]
        12
    """
    time = np.arange(len(values)) - (len(values) - 1) / 2
    rest = values - values.mean() - time * (time @ values) / (time @ time)
    peaks = [peak for peak in (_peak(rest), _peak(np.diff(values))) if peak[0]]
    return min(peaks, key=lambda peak: float(np.abs(rest[peak[0] :] - rest[: -peak[0]]).mean()), default=(0, 0.0))


def _peak(values: Values) -> tuple[int, float]:
    """The first lag, up to a third of the rows, at which the autocorrelation nearly has its highest peak.

    Peaks before it first falls below zero are ripples of a slow series, not a season.
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
