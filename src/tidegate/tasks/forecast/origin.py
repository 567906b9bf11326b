"""Batches for forecasts from many rows, and the forecasts of a model."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch

from tidegate.phase import counted
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel, Window
from tidegate.tasks.forecast.score import Forecasts, Rows
from tidegate.tasks.forecast.setting import ForecastSetting, forecast_levels

SEGMENT = 128  # fewest scored steps in a row of a batch
PARALLEL = 64  # rows of a batch
CHECKED = 512  # most origins, over all series, where each needs a whole context

Model = DirectModel | RecursiveModel
Ask = Callable[[Window], torch.Tensor]


def segments(grid: Grid, bounds: Sequence[tuple[int, int]], context: int, steps: int) -> Iterator[Window]:
    """Batches that cover a part of each series once, with true history before it.

    Args:
        grid: the rows.
        bounds: for each series, the first row from which to forecast, and one past the last.
        context: the largest number of rows of history.
        steps: steps ahead.
    """
    # Long parts are cut into parallel segments: a single row of 15,000 steps would take minutes.
    by_history: dict[int, list[tuple[int, int, int]]] = defaultdict(list)  # by context: start, rows, series
    most = max(1, PARALLEL // len(grid.spans))
    for series, (span, (first, last)) in enumerate(zip(grid.spans, bounds, strict=True)):
        if last <= first:
            continue
        length = math.ceil((last - first) / min(most, max(1, (last - first) // SEGMENT)))
        history = min(first - span.start, context)
        by_history[history] += [(at, min(length, last - at), series) for at in range(first, last, length)]
    for history, parts in by_history.items():
        for at in range(0, len(parts), PARALLEL):
            first, rows, series = torch.tensor(parts[at : at + PARALLEL]).T
            total = history + int(rows.max())
            yield grid.window(series, first - history, total, steps, lengths=rows + history, context=history)


def histories(grid: Grid, origins: Sequence[Rows], context: int, steps: int) -> Iterator[Window]:
    """Windows that end at the given rows of each series, with up to ``context`` rows."""
    by_length: dict[int, list[tuple[int, int]]] = defaultdict(list)  # by length: start, series
    for series, (span, rows) in enumerate(zip(grid.spans, origins, strict=True)):
        for row in rows.tolist():
            length = min(row - span.start + 1, context)
            by_length[length].append((row - length + 1, series))
    for length, places in by_length.items():
        for at in range(0, len(places), PARALLEL):
            first, series = torch.tensor(places[at : at + PARALLEL]).T
            yield grid.window(series, first, length, steps, context=length - 1, last=True)


def answered(ask: Ask, grid: Grid, batches: Iterable[Window], levels: tuple[float, ...]) -> Forecasts:
    """Forecasts on batches, in the target's unit, in the order of series and rows.

    Args:
        ask: a model's answers [T, B, steps, quantiles] to a batch, or [1, ...] of its last row.
        grid: the rows.
        batches: the batches.
        levels: the levels of the quantiles.
    """
    series, origin, values = [], [], []
    with torch.inference_mode():
        for batch in counted("forecasting", batches):
            answers = ask(batch)
            scored = batch.scored()[-len(answers) :]
            rows = torch.arange(len(batch.inputs))[:, None] + batch.first
            origin.append(rows[-len(answers) :][scored])
            series.append(batch.series.expand(len(answers), -1)[scored])
            values.append(grid.in_units(answers[scored], series[-1], origin[-1]))
    if not origin:
        return Forecasts(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 1, len(levels))), levels)
    starts = torch.cat(origin).numpy()
    order = np.argsort(starts, kind="stable")
    return Forecasts(torch.cat(series).numpy()[order], starts[order], np.concatenate(values)[order], levels)


def forecast(model: Model, grid: Grid, batches: Iterable[Window], steps: int, setting: ForecastSetting) -> Forecasts:
    """The forecasts of a model on batches, with its quantiles."""
    return answered(lambda batch: model.answers(batch, steps), grid, batches, forecast_levels(setting))


def thinned(first: int, last: int, most: int) -> Rows:
    """Rows from first to last - 1; evenly spaced ones if there are more than ``most``."""
    return np.arange(first, last, max(1, math.ceil((last - first) / max(1, most))))
