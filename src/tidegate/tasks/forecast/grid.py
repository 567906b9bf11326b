"""Series as flat tensors, padded before and after, so that one index reaches a row and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import Panel, cycles
from tidegate.errors import InputError
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.model import Window, per_step
from tidegate.tasks.forecast.split import Span

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
FARTHEST = 10.0  # standard deviations below the mean: the least logarithm that is read


@dataclass(frozen=True)
class Grid:
    """Prepared rows of all series.

    Attributes:
        spans: the rows of each series; those from ``end`` on are in the future.
        names: what tells each series from the others.
        targets: the column that each series is of.
        groups: its name in the column of names.
        levels: [rows] float64, the target in standard deviations of its series, or its logarithm, less the effect of
            what is known ahead; 0 in the future.
        inputs: [rows, features] inputs that are known at each row.
        ahead: [rows, known] inputs that are known before each row.
        truth: [rows] the target in its own unit; NaN in the future.
        scales: [series, 2] mean and standard deviation of the target.
        logs: [series, 2] those of its logarithm, if that is forecast.
        effect: [rows] the effect of what is known ahead, which is not in the levels, if it was taken out.
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
    logs: Values | None = None
    effect: Values | None = None

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
        blends: bool = True,
    ) -> Window:
        """A batch of rows from ``first`` [B] on; shorter ones repeat their last row."""
        ends = first + (rows if lengths is None else lengths)
        time = torch.minimum(first + torch.arange(rows)[:, None], ends - 1)  # [T, B]
        onward = torch.minimum(first + torch.arange(rows + steps)[:, None], ends - 1 + steps)
        scored = time[-1:] if last else time
        truth = self.levels[scored[..., None] + torch.arange(1, steps + 1)]
        base = self.encoding.base(self.levels, scored, steps)
        change = per_step(self.encoding.change, steps)
        plain = None
        if blends and self.encoding.plain:
            plain = ((self.plainly(scored[-(rows - context) :], steps) - base[-(rows - context) :]) / change).float()
        return Window(
            inputs=torch.cat([self.inputs[time], self.ahead[time + 1]], -1),
            targets=((truth - base) / change).float(),
            lengths=lengths,
            context=context,
            levels=self.levels[time].float(),
            ahead=self.ahead[onward],
            series=series,
            first=first,
            plain=plain,
            last=last,
        )

    def plainly(self, origin: torch.Tensor, steps: int) -> torch.Tensor:
        """[..., steps] the levels of the plain forecast from these rows."""
        return self.encoding.plainly(self.levels, origin, steps)

    def linearly(self, origin: torch.Tensor, steps: int) -> torch.Tensor:
        """[..., steps] the levels of the ridge regression from these rows."""
        return replace(self.encoding, plain="linear").plainly(self.levels, origin, steps)

    def forecast(self, answers: torch.Tensor, origin: torch.Tensor) -> Values:
        """Convert a model's answers [rows, steps, quantiles] to levels."""
        steps = answers.shape[1]
        change = per_step(self.encoding.change, steps)
        base = self.encoding.base(self.levels, origin, steps)
        levels: Values = (base[..., None] + change[:, None] * answers.double()).numpy()
        return levels

    def in_units(self, answers: torch.Tensor, series: torch.Tensor, origin: torch.Tensor) -> Values:
        """Convert a model's answers to forecasts [rows, steps, quantiles] in the target's unit."""
        return self.of_levels(self.forecast(answers, origin), series.numpy(), origin.numpy())

    def to_answers(self, values: Values, series: Rows, origin: Rows) -> Values:
        """The answers of a model that would give these forecasts [rows, steps, quantiles] in the target's unit."""
        steps, rows = values.shape[1], torch.from_numpy(origin)
        if self.logs is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log(values)
        mean, sd = (self.scales if self.logs is None else self.logs)[series].T[..., None, None]
        levels = (values - mean) / sd
        if self.effect is not None:
            levels = levels - self.effect[origin[:, None] + np.arange(1, steps + 1)][..., None]
        base = self.encoding.base(self.levels, rows, steps).numpy()
        answers: Values = (levels - base[..., None]) / per_step(self.encoding.change, steps).numpy()[:, None]
        return answers

    def of_levels(self, levels: Values, series: Rows, origin: Rows) -> Values:
        """Convert levels [rows, steps, ...] that were forecast from these rows to the target's unit."""
        more = (1,) * (levels.ndim - 1)
        if self.effect is not None:
            known = self.effect[origin[:, None] + np.arange(1, levels.shape[1] + 1)]
            levels = levels + known.reshape(*known.shape, *more[1:])
        mean, sd = (self.scales if self.logs is None else self.logs)[series].T.reshape(2, -1, *more)
        values: Values = mean + sd * levels
        return values if self.logs is None else np.exp(values)

    def restored(self, place: int, origin: Rows, levels: Values) -> Values:
        """Levels that were forecast from rows of a series, counted from its first, in its standard deviations."""
        series = np.full(len(origin), place)
        return self.standard(self.of_levels(levels, series, origin + self.spans[place].start), series)

    def standard(self, values: Values, series: Rows) -> Values:
        """Values [rows, steps] in the target's unit as standard deviations of their series."""
        mean, sd = self.scales[series].T[..., None]
        scaled: Values = (values - mean) / sd
        return scaled

    def own(self, place: int, origin: torch.Tensor, steps: int) -> Values:
        """[rows, steps] the true values after rows of a series, in its standard deviations."""
        rows = origin[:, None].numpy() + np.arange(1, steps + 1)
        return self.standard(self.truth[rows], np.full(len(rows), place))


def make_grid(panel: Panel, encoding: ForecastEncoding, spans: Sequence[Span], horizon: int) -> Grid:
    """Scale the rows of a panel, with room for a forecast after the last row of each series.

    Args:
        panel: rows with the columns of the encoding.
        encoding: the encoding of the training rows.
        spans: the rows of each series. A series that training lacks is scaled by its rows before ``first``.
        horizon: the number of rows to leave room for.
    """
    early = encoding.early
    columns = [panel.columns.index(name) for name in (*encoding.columns, *encoding.known)]
    parts: list[tuple[Values, ...]] = []
    placed, scales, logs, covered, clocks, at = [], [], [], [], [], 0
    for name, span, stop in zip(panel.names, spans, panel.starts[1:], strict=True):
        values = panel.values[span.start : stop][:, columns]
        rows, room = span.end - span.start, max(horizon, stop - span.end)
        history = panel.values[span.start : span.first, 0]
        scales.append(encoding.scale(name, history))
        if encoding.logs:
            logs.append(encoding.log_scale(name, _positive(history, panel.target)))
        times, wall = _times(panel, span.start, stop, rows + room, encoding.step)
        parts.append(_padded(values, rows, room, (logs or scales)[-1], wall, encoding))
        placed.append(span.moved(at + early - span.start))
        covered.append(at + early + len(values) if encoding.known else at + early + rows + room)
        clocks.append(times)
        at += early + rows + room
    levels, inputs, ahead, truth, effect = (np.concatenate(part) for part in zip(*parts, strict=True))
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
        np.array(logs) if logs else None,
        effect if encoding.effect else None,
    )


def _positive(history: Values, target: str) -> Values:
    """The history, all of which has a logarithm."""
    if not (history > 0).all():
        raise InputError(
            "SERIES_LOGARITHM",
            f"the target {target!r} has values that are not positive, but the model forecasts its logarithm",
            fix="train a model with logarithm='no'",
        )
    return history


def _padded(
    values: Values, rows: int, room: int, scale: tuple[float, float], wall: Any, encoding: ForecastEncoding
) -> tuple[Values, ...]:
    """Levels, inputs, what is known ahead, truth and effect of a series, with ``early`` rows before and room after."""
    early, observed = encoding.early, len(encoding.columns)
    others = (values[:, 1:] - encoding.mean) / [spread or 1.0 for spread in encoding.sd]
    known = np.pad(others[:, observed - 1 :], ((0, rows + room - len(values)), (0, 0)))
    ahead = np.column_stack([known, _calendar(wall, encoding)])
    effect = ahead @ np.array(encoding.effect) if encoding.effect else np.zeros(len(ahead))
    target = values[:rows, 0]
    if encoding.logs:  # the history is positive; rows of a test need not be
        target = np.log(np.maximum(target, np.exp(scale[0] - FARTHEST * scale[1])))
    own = (target - scale[0]) / scale[1] - effect[:rows]
    change = np.diff(own, prepend=own[0]) / encoding.pace
    inputs = np.column_stack([own - _mean(own, encoding.centre), others[:rows, : observed - 1], change])
    return (
        np.pad(own, (early, room), constant_values=(own[0], 0.0)),
        np.pad(inputs, ((early, room), (0, 0))),
        np.pad(ahead, ((early, 0), (0, 0))),
        np.pad(values[:rows, 0], (early, room), constant_values=np.nan),
        np.pad(effect, (early, 0)),
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
