"""How wide intervals are: wider or narrower than in validation, as recent misses say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.origin import CHECKED, Model, forecast, histories, thinned
from tidegate.tasks.forecast.ridge import ahead_of
from tidegate.tasks.forecast.score import Forecasts
from tidegate.tasks.forecast.setting import ForecastSetting

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
PRIOR = 4  # blocks: with as many behind it, a forecast believes them and validation alike
WINDOW = 20  # blocks that count
MOST = 5.0  # usual misses: no single one counts more


def with_spread(
    model: Model, grid: Grid, validated: Forecasts, tested: Sequence[tuple[int, int]], setting: ForecastSetting
) -> ForecastEncoding:
    """The encoding with what intervals need to follow misses: how large they usually are, and were of late.

    Args:
        model: the model, whose quantiles are those of validation.
        grid: the rows.
        validated: its forecasts of validation.
        tested: for each series the first row from which the test is forecast, and one past the last.
        setting: the settings of the model.
    """
    ratio = _ratios(grid, validated)
    found = {name: _mean(ratio[validated.series == place]) for place, name in enumerate(grid.names)}
    encoding = replace(grid.encoding, usual=found)
    grid = replace(grid, encoding=encoding)
    made = recent(model, grid, [first for first, _ in tested], setting)
    ends = np.array([span.end - 1 for span in grid.spans])
    lately = spread_at(grid, made, np.arange(len(ends)), ends, {})
    until = {
        name: _written(times[span.end - span.start - 1])
        for name, times, span in zip(grid.names, grid.times, grid.spans, strict=True)
        if isinstance(times, pd.Index)
    }
    return replace(encoding, lately=dict(zip(grid.names, lately.tolist(), strict=True)), until=until)


def spreads(at: Rows, origin: Rows, ratio: Values, usual: float) -> Values:
    """[M] how much wider than usual intervals should be, as the misses of one series say that are known by then.

    Equations:
        s = (P H u + (g / H) sum of min(r[i, k], 5 u)) / (P H u + (g / H) n u)
        over n pairs of an origin i and a step k with  at - 20 H < i + k <= at,  g rows between origins, P = 4

    Each step has up to 20 blocks of as many rows as are forecast; with none, s is 1.

    Args:
        at: [M] the rows at which the forecasts are made.
        origin: [N] rows of earlier forecasts, in order and evenly spaced.
        ratio: [N, steps] their misses, as shares of the widths of their intervals; NaN where the truth is unknown.
        usual: the mean of these in validation; 0 if there is none, and then s is 1.
    """
    if not usual or not len(origin):
        return np.ones(len(at))
    count, steps = ratio.shape
    gap = int(np.diff(origin).min()) if count > 1 else 1
    seen = np.isfinite(ratio)
    capped = np.where(seen, np.minimum(ratio, MOST * usual), 0.0)
    sums, counts = (np.vstack([np.zeros(steps), np.cumsum(part, axis=0)]) for part in (capped, seen))
    ends = at[:, None] - np.arange(1, steps + 1)
    last, first = (np.searchsorted(origin, rows, side="right") for rows in (ends, ends - WINDOW * steps))
    step = np.arange(steps)
    total, known = (((part[last, step] - part[first, step]) * gap / steps).sum(1) for part in (sums, counts))
    factors: Values = (PRIOR * steps * usual + total) / ((PRIOR * steps + known) * usual)
    return factors


def following(grid: Grid, made: Forecasts, start: Mapping[str, float]) -> Forecasts:
    """Forecasts whose intervals follow the misses of those before them.

    Args:
        grid: the rows.
        made: forecasts as wide as in validation, in the order of series and rows.
        start: the spread of each series before the first of them; 1 unless given.
    """
    return stretched(grid, made, spread_at(grid, made, made.series, made.origin, start))


def recent(model: Model, grid: Grid, first: Sequence[int], setting: ForecastSetting) -> Forecasts:
    """Forecasts from a sample of the last rows of each series, whose misses tell its spread at its end.

    Args:
        model: makes them.
        grid: the rows.
        first: for each series the first row that the model has not been trained on.
        setting: the settings of the model.
    """
    steps, most = len(grid.encoding.change), max(1, CHECKED // len(grid.spans))
    begin = [max(row, span.end - (WINDOW + 1) * steps) for row, span in zip(first, grid.spans, strict=True)]
    origins = [thinned(row, span.end - 1, most) for row, span in zip(begin, grid.spans, strict=True)]
    batches = histories(grid, origins, setting.context, steps)
    return forecast(model, grid, batches, steps, setting)


def spread_at(grid: Grid, made: Forecasts, series: Rows, at: Rows, start: Mapping[str, float]) -> Values:
    """[M] the spread of each of these rows, as the misses of ``made`` say that are known there."""
    ratio, factors = _ratios(grid, made), np.ones(len(at))
    usual = grid.encoding.usual
    mean = float(np.mean(list(usual.values()))) if usual else 0.0
    for place, name in enumerate(grid.names):
        own, wanted, begun = made.series == place, series == place, start.get(name, 1.0)
        found = spreads(at[wanted], made.origin[own], ratio[own], begun * usual.get(name, mean))
        factors[wanted] = begun * found
    return factors


def rows_after(times: Any, until: str) -> int:
    """The first row later than a time of ``until``."""
    moment = pd.Timestamp(until) if isinstance(times, pd.DatetimeIndex) else float(until)
    return int(times.searchsorted(moment, side="right"))


def stretched(grid: Grid, made: Forecasts, factors: Values) -> Forecasts:
    """The forecasts with quantiles moved away from the median, or towards it."""
    if (factors == 1).all():
        return made
    middle = made.levels.index(0.5)
    answers = grid.to_answers(made.quantiles, made.series, made.origin)
    median = answers[..., middle : middle + 1]
    moved = torch.from_numpy(median + factors[:, None, None] * (answers - median))
    values = grid.in_units(moved, torch.from_numpy(made.series), torch.from_numpy(made.origin))
    values[..., middle] = made.point
    return replace(made, quantiles=values)


def _ratios(grid: Grid, made: Forecasts) -> Values:
    """[N, steps] misses as shares of the widths of intervals, both as a model's answers."""
    truth = ahead_of(grid.truth, made.origin, made.point.shape[1])[..., None]
    answers = grid.to_answers(made.quantiles, made.series, made.origin)
    miss = np.abs(grid.to_answers(truth, made.series, made.origin)[..., 0] - answers[..., made.levels.index(0.5)])
    width = answers[..., -1] - answers[..., 0]
    return np.divide(miss, width, out=np.full_like(miss, np.nan), where=width > 0)


def _mean(ratio: Values) -> float:
    """The mean of those that are known, or 0."""
    known = ratio[np.isfinite(ratio)]
    return float(known.mean()) if len(known) else 0.0


def _written(time: Any) -> str:
    return time.isoformat() if isinstance(time, pd.Timestamp) else repr(float(time))
