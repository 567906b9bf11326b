"""Series as flat tensors, padded before and after, so that one index reaches a row and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import Panel, cycles
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.model import Window, per_step
from tidegate.tasks.forecast.split import Span

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Prepared rows of all series.

    Attributes:
        spans: the rows of each series; those from ``end`` on are in the future.
        names: what tells each series from the others.
        targets: the column that each series is of.
        groups: its name in the column of names.
        levels: [rows] float64, the target in standard deviations of its series; 0 in the future.
        inputs: [rows, features] inputs that are known at each row.
        ahead: [rows, known] inputs that are known before each row.
        truth: [rows] the target in its own unit; NaN in the future.
        scales: [series, 2] mean and standard deviation of the target.
        covered: [series] one past the last row with values in all columns known ahead.
        times: the times of each series, future ones included; row numbers without a time column.
    """

    encoding: ForecastEncoding
    spans: tuple[Span, ...]
    names: tuple[str, ...]
    targets: tuple[str, ...]
    groups: tuple[str, ...]
    levels: torch.Tensor
    inputs: torch.Tensor
    ahead: torch.Tensor
    truth: Values
    scales: Values
    covered: tuple[int, ...]
    times: tuple[Any, ...]

    def window(
        self,
        series: torch.Tensor,
        first: torch.Tensor,
        rows: int,
        steps: int,
        *,
        lengths: torch.Tensor | None = None,
        context: int = 0,
        last: bool = False,
    ) -> Window:
        """A batch of rows from ``first`` [B] on; shorter ones repeat their last row."""
        ends = first + (rows if lengths is None else lengths)
        time = torch.minimum(first + torch.arange(rows)[:, None], ends - 1)  # [T, B]
        onward = torch.minimum(first + torch.arange(rows + steps)[:, None], ends - 1 + steps)
        scored = time[-1:] if last else time
        truth = self.levels[scored[..., None] + torch.arange(1, steps + 1)]
        base = self.encoding.base(self.levels, scored, steps)
        targets = (truth - base) / per_step(self.encoding.change, steps)
        return Window(
            inputs=torch.cat([self.inputs[time], self.ahead[time + 1]], -1),
            targets=targets.float(),
            lengths=lengths,
            context=context,
            levels=self.levels[time].float(),
            ahead=self.ahead[onward],
            series=series,
            first=first,
            last=last,
        )

    def in_units(self, answers: torch.Tensor, series: torch.Tensor, origin: torch.Tensor) -> Values:
        """Convert a model's answers to forecasts [rows, steps, quantiles] in the target's unit."""
        steps = answers.shape[1]
        change = per_step(self.encoding.change, steps)
        levels = self.encoding.base(self.levels, origin, steps)[..., None] + change[:, None] * answers.double()
        mean, sd = self.scales[series.numpy()].T[..., None, None]
        values: Values = mean + sd * levels.numpy()
        return values


def make_grid(panel: Panel, encoding: ForecastEncoding, spans: Sequence[Span], horizon: int) -> Grid:
    """Scale the rows of a panel, with room for a forecast after the last row of each series.

    Args:
        panel: rows with the columns of the encoding.
        encoding: the encoding of the training rows.
        spans: the rows of each series. A series that training lacks is scaled by its rows before ``second``.
        horizon: the number of rows to leave room for.
    """
    early = encoding.reach
    columns = [panel.columns.index(name) for name in (*encoding.columns, *encoding.known)]
    parts: list[tuple[Values, Values, Values, Values]] = []
    placed, scales, covered, clocks, at = [], [], [], [], 0
    for name, span, stop in zip(panel.names, spans, panel.starts[1:], strict=True):
        values = panel.values[span.start : stop][:, columns]
        rows, room = span.end - span.start, max(horizon, stop - span.end)
        scale = encoding.scale(name, panel.values[span.start : span.second, 0])
        times, wall = _times(panel, span.start, stop, rows + room, encoding.step)
        parts.append(_padded(values, rows, room, scale, wall, encoding))
        placed.append(span.moved(at + early - span.start))
        covered.append(at + early + len(values) if encoding.known else at + early + rows + room)
        scales.append(scale)
        clocks.append(times)
        at += early + rows + room
    levels, inputs, ahead, truth = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Grid(
        encoding,
        tuple(placed),
        panel.names,
        panel.targets,
        panel.groups,
        torch.tensor(levels),
        torch.tensor(inputs, dtype=torch.float32),
        torch.tensor(ahead, dtype=torch.float32),
        truth,
        np.array(scales),
        tuple(covered),
        tuple(clocks),
    )


def _padded(
    values: Values, rows: int, room: int, scale: tuple[float, float], wall: Any, encoding: ForecastEncoding
) -> tuple[Values, Values, Values, Values]:
    """Levels, inputs, what is known ahead, and truth of one series, with ``reach`` rows before it and room after it."""
    early, observed = encoding.reach, len(encoding.columns)
    mean, sd = scale
    scaled = (values - [mean, *encoding.mean]) / [sd, *(spread or 1.0 for spread in encoding.sd)]
    past = scaled[:rows, :observed]
    own = past[:, 0]
    change = np.diff(own, prepend=own[0]) / encoding.pace
    known = np.pad(scaled[:, observed:], ((0, rows + room - len(values)), (0, 0)))
    inputs = np.column_stack([own - _mean(own, encoding.centre), past[:, 1:], change])
    return (
        np.pad(own, (early, room), constant_values=(own[0], 0.0)),
        np.pad(inputs, ((early, room), (0, 0))),
        np.pad(np.column_stack([known, _calendar(wall, encoding)]), ((early, 0), (0, 0))),
        np.pad(values[:rows, 0], (early, room), constant_values=np.nan),
    )


def _mean(values: Values, rows: int) -> Values | float:
    """[rows] the mean of the last ``rows`` values, or of all if there are fewer."""
    if not rows:
        return 0.0
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - rows, 0)
    means: Values = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def _times(panel: Panel, start: int, stop: int, rows: int, step: str) -> tuple[Any, Any]:
    """The times of a series, and the same as wall clocks show them."""
    if panel.clock is None:
        return np.arange(1, rows + 1), np.arange(1, rows + 1)
    times = panel.clock.continued(start, stop, rows - (stop - start), step)
    return times.shown, times.local


def _calendar(times: Any, encoding: ForecastEncoding) -> Values:
    """[rows, 2 x cycles] the place of each row in the day, the week and the year."""
    if not encoding.cycles:
        return np.empty((len(times), 0))
    places = cycles(times, np.timedelta64(1 << 20, "D"), np.timedelta64(0, "D"))
    angles = 2 * np.pi * np.column_stack([places[name] for name in encoding.cycles])
    waves: Values = 2**0.5 * np.column_stack([np.sin(angles), np.cos(angles)])  # of variance 1, as other inputs
    return waves
