"""Forecasts: changes of the history that users pass, read by the model's own encoding."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tidegate.adversary import Ball, free
from tidegate.attack.kind.base import Continuous, Rows
from tidegate.attack.kind.limit import Limits
from tidegate.records import AttackedRecord, TraceLine
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import FARTHEST, Grid, make_grid
from tidegate.tasks.forecast.model import RecursiveModel, per_step
from tidegate.tasks.forecast.origin import forecast, histories

CHANNELS = 2  # of an example that are drawn
SIGNS = {"up": 1.0, "down": -1.0}


@dataclass(frozen=True)
class Past:
    """The rows up to an origin that a forecast from there reads.

    Attributes:
        series: the place of the series.
        origin: the row from which is forecast, as the grid counts.
        rows: how many rows up to it may change.
        length: how many of them the layers read.
    """

    series: int
    origin: int
    rows: int
    length: int


class ForecastKind(Continuous):
    """A forecaster.

    What changes are the target and the columns known up to the present, in the rows that a forecast reads, each in its
    standard deviations in training. The forecast is that of the whole model: layers, the forecast that they correct and
    the one that they are blended with, all with gradients.

    Args:
        estimator: a ``Forecaster``.
        task: whose test part is attacked.
        rows: the places of the origins in it.
        limits: what may change, and where forecasts are pushed.
    """

    unit, better, settled = "standard deviations of training", "lower", False

    def __init__(self, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> None:
        self.estimator, self.task, self.limits = estimator, task, limits
        self.model = copy.deepcopy(estimator.model_).requires_grad_(requires_grad=False)
        self.grid: Grid = task.grid
        self.context: int = task.setting.context
        self.steps, self.encoding = int(task.horizon), task.encoding
        self._sampled = isinstance(self.model, RecursiveModel) and bool(task.setting.quantiles)
        self._pointed = False
        self.measure = "error" if limits.direction == "error" else f"push {limits.direction}"
        self.pasts = [self._past(*place) for place in np.array(_origins(task))[list(rows)].tolist()]
        self.count = len(self.pasts)
        self.lengths = torch.tensor([past.rows for past in self.pasts])
        self.names = [_named(task), *self.encoding.columns[1:]]
        self.x = torch.nn.utils.rnn.pad_sequence([self._values(past) for past in self.pasts])
        mask = free(self.lengths, self.x.shape, steps=limits.steps, features=limits.of(self.names))
        self.ball = Ball(limits.norm, 0.0, mask)
        self.truth = torch.stack([self._standard(self._ahead(past), past.series) for past in self.pasts])
        with torch.no_grad():
            self.before = self.outputs(self.x, torch.arange(self.count))
        self.error = (self.before - self.truth).abs().mean(1)
        self.tolerance = float(self.error.mean()) if limits.tolerance is None else limits.tolerance
        self.losses = {"mean": self._mean, "square": self._square}

    @classmethod
    def total(cls, task: Any) -> int:
        return len(_origins(task))

    @classmethod
    def of(cls, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> ForecastKind:
        return cls(estimator, task, rows, limits)

    @property
    def broken(self) -> str:
        what = "further from the truth" if self.limits.direction == "error" else self.limits.direction
        why = " (the mean error of these forecasts)" if self.limits.tolerance is None else ""
        return f"a forecast that is pushed by more than {self.tolerance:.3g} {self.unit} {what}{why}"

    @property
    def chance(self) -> tuple[float, str]:
        if self.limits.direction != "error":
            return 1.0, "a push by one standard deviation"
        return float(self.truth.abs().mean()), "the error of the mean of training"

    @property
    def factor(self) -> str:
        sd = self.grid.scales[sorted({past.series for past in self.pasts}), 1]
        if self.x.shape[2] > 1 or max(sd) > min(sd) * (1 + 1e-9):
            return ""
        return f"1 standard deviation = {sd[0]:.6g} in the unit of {self.names[0]}"

    @property
    def notes(self) -> tuple[str, ...]:
        said = ["the history changes, as users pass it; the forecast is that of the whole model"]
        if self.encoding.known or self.encoding.cycles:
            said.append("times and columns known ahead stay")
        if self._sampled:
            said.append("the forecast is the median of sample paths; attacks follow the path of medians")
        return tuple(said)

    def outputs(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K, steps] forecasts in standard deviations of the target of each series."""
        found = x.new_zeros(len(rows), self.steps, dtype=torch.float64)
        pasts = [self.pasts[int(row)] for row in rows]
        for shape in sorted({(past.rows, past.length) for past in pasts}):
            own = [k for k, past in enumerate(pasts) if (past.rows, past.length) == shape]
            answers = self._forecast(x[: shape[0], own].double(), [pasts[k] for k in own])
            found = found.index_copy(0, torch.tensor(own), answers)
        return found

    def score(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        return self._mean(outputs, rows) - self.tolerance - (self.error[rows] if not self._sign else 0.0)

    def value(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        return self._mean(outputs, rows)

    def verified(self, rows: Rows, change: torch.Tensor) -> int:
        moved = self.ball.rows(rows).moved(self.x[:, rows], change)
        made = torch.stack([self._asked(int(row), moved[:, k]) for k, row in enumerate(rows)])
        return int((self.score(made, rows) > 0).sum().item())

    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        rows, past = torch.tensor([row]), self.pasts[row]
        moved = self.ball.rows(rows).moved(self.x[:, rows], change)
        with torch.no_grad():
            after = self.outputs(moved, rows)[0]
        largest = change[:, 0].abs().amax(0).argsort(descending=True, stable=True)[:CHANNELS].sort().values.tolist()
        ours, theirs = (self._raw(values[: past.rows, 0], past) for values in (self.x[:, rows], moved))
        lines = tuple(TraceLine(self.names[c], _line(ours[:, c]), _line(theirs[:, c])) for c in largest)
        mean, sd = self.grid.scales[past.series]
        before, now, truth = (mean + sd * values.numpy() for values in (self.before[row], after, self.truth[row]))
        answers = (TraceLine("forecast", _line(before), _line(now)),) if self.steps > 1 else ()
        size = f"{float(self.ball.rows(rows).size(change)):.3g} {self.unit}"
        said = [
            f"mean {float(values.mean()):.5g}" if self.steps > 1 else f"{float(values[0]):.5g}"
            for values in (truth, before, now)
        ]
        return AttackedRecord(self._title(past), said[0], said[1], said[2], budget, size, lines, (), answers)

    @property
    def _sign(self) -> float:
        return SIGNS.get(self.limits.direction, 0.0)

    def _miss(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        """[K, steps] what is raised."""
        if self._sign:
            return self._sign * (outputs - self.before[rows])
        return (outputs - self.truth[rows]).abs()

    def _mean(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        return self._miss(outputs, rows).mean(1)

    def _square(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        miss = self._miss(outputs, rows)
        return (miss.abs() * miss).mean(1)

    def _past(self, series: int, origin: int) -> Past:
        there = origin - self.grid.spans[series].start + 1
        return Past(series, origin, min(there, self.context + self._lead), min(there, self.context))

    @property
    def _lead(self) -> int:
        """Rows before those that the layers read, on which what they read depends."""
        encoding: ForecastEncoding = self.encoding
        return max(encoding.early, encoding.centre, 1)

    def _values(self, past: Past) -> torch.Tensor:
        """[rows, columns] float32: the target and the columns known up to the present, in standard deviations."""
        rows = slice(past.origin - past.rows + 1, past.origin + 1)
        target = self._standard(torch.from_numpy(self.grid.truth[rows]), past.series)
        others = self.grid.inputs[rows, 1 : len(self.names)]
        return torch.cat([target[:, None].float(), others], 1)

    def _standard(self, values: torch.Tensor, series: int) -> torch.Tensor:
        mean, sd = self.grid.scales[series]
        scaled: torch.Tensor = (values - mean) / sd
        return scaled

    def _ahead(self, past: Past) -> torch.Tensor:
        return torch.from_numpy(self.grid.truth[past.origin + 1 : past.origin + 1 + self.steps])

    def _forecast(self, x: torch.Tensor, pasts: Sequence[Past]) -> torch.Tensor:
        """[K, steps] from values [rows, K, columns] float64 of equally long pasts."""
        grid, first = self._local(x, pasts)
        length = pasts[0].length
        batch = grid.window(
            torch.tensor([past.series for past in pasts]), first, length, self.steps, context=length - 1, last=True
        )
        model: Any = self.model
        answers = (model.point if self._pointed else model.answers)(batch.to(model.head.weight.dtype), self.steps)[0]
        middle = answers[..., answers.shape[-1] // 2].double()
        origin = first + length - 1
        levels = (
            self.encoding.base(grid.levels, origin, self.steps) + per_step(self.encoding.change, self.steps) * middle
        )
        return self._restored(levels, pasts)

    def _local(self, x: torch.Tensor, pasts: Sequence[Past]) -> tuple[Grid, torch.Tensor]:
        """A grid of these pasts below each other, and the first row of each that the layers read."""
        early, rows, room = self.encoding.early, len(x), self.steps
        own = self._levels(x[..., 0], pasts)
        change = torch.diff(own, dim=0, prepend=own[:1]) / self.encoding.pace
        parts = [(own - _mean(own, self.encoding.centre))[..., None], x[..., 1:], change[..., None]]
        levels = torch.cat([own[:1].expand(early, -1), own, own.new_zeros(room, len(pasts))])
        inputs = torch.nn.functional.pad(torch.cat(parts, 2).float(), (0, 0, 0, 0, early, room))
        at = [torch.arange(past.origin + 1 - rows - early, past.origin + 1 + room) for past in pasts]
        ahead = self.grid.ahead[torch.stack(at).clamp(min=0)].flatten(0, 1)
        blocks = [values.transpose(0, 1).flatten(0, 1) for values in (levels, inputs)]
        ends = (torch.arange(len(pasts)) + 1) * (early + rows + room) - room
        return replace(self.grid, levels=blocks[0], inputs=blocks[1], ahead=ahead), ends - pasts[0].length

    def _levels(self, target: torch.Tensor, pasts: Sequence[Past]) -> torch.Tensor:
        """[rows, K] what the model calls levels, from the target in standard deviations."""
        if self.grid.logs is not None:
            scales, logs = (
                torch.from_numpy(part[[past.series for past in pasts]]) for part in (self.grid.scales, self.grid.logs)
            )
            least = torch.exp(logs[:, 0] - FARTHEST * logs[:, 1])
            target = (torch.log((scales[:, 0] + scales[:, 1] * target).maximum(least)) - logs[:, 0]) / logs[:, 1]
        if self.grid.effect is not None:
            at = torch.tensor([past.origin for past in pasts]) + torch.arange(1 - len(target), 1)[:, None]
            target = target - torch.from_numpy(self.grid.effect)[at]
        return target

    def _restored(self, levels: torch.Tensor, pasts: Sequence[Past]) -> torch.Tensor:
        """[K, steps] levels that were forecast, in standard deviations of the target."""
        if self.grid.effect is not None:
            at = torch.tensor([past.origin for past in pasts])[:, None] + torch.arange(1, self.steps + 1)
            levels = levels + torch.from_numpy(self.grid.effect)[at]
        if self.grid.logs is not None:
            scales, logs = (
                torch.from_numpy(part[[past.series for past in pasts]]) for part in (self.grid.scales, self.grid.logs)
            )
            levels = (torch.exp(logs[:, :1] + logs[:, 1:] * levels) - scales[:, :1]) / scales[:, 1:]
        return levels

    def _raw(self, values: torch.Tensor, past: Past) -> Any:
        """[rows, columns] values in the units of the data."""
        observed = len(self.names)
        mean, sd = self.grid.scales[past.series]
        means = np.array([mean, *self.encoding.mean[: observed - 1]])
        return means + np.array([sd, *(s or 1.0 for s in self.encoding.sd[: observed - 1])]) * values.double().numpy()

    def _asked(self, row: int, values: torch.Tensor) -> torch.Tensor:
        """[steps] the forecast from a changed history, put through everything behind the reading of a file."""
        past, panel = self.pasts[row], self.task.panel
        span = self.task.spans[past.series]
        last = span.start + past.origin - self.grid.spans[past.series].start
        columns = [panel.columns.index(name) for name in self.encoding.columns]
        changed = panel.values.copy()
        changed[np.ix_(range(last - past.rows + 1, last + 1), columns)] = self._raw(values[: past.rows], past)
        grid = make_grid(replace(panel, values=changed), self.encoding, self.task.spans, self.steps)
        origins = [np.array([past.origin] if k == past.series else [], dtype=np.intp) for k in range(len(grid.spans))]
        setting = self.task.setting
        batches = histories(grid, origins, setting.context, self.steps)
        made = forecast(self.estimator.model_, grid, batches, self.steps, setting)
        return self._standard(torch.from_numpy(made.point[0]), past.series)

    def _title(self, past: Past) -> str:
        times, name = self.grid.times[past.series], self.grid.names[past.series]
        time = str(times[past.origin - self.grid.spans[past.series].start]).removesuffix(" 00:00:00")
        return f"{name + ', ' if name else ''}from {time}"


def _origins(task: Any) -> list[tuple[int, int]]:
    """The series and the row of each origin of the test, as the grid counts."""
    found = []
    for series, span in enumerate(task.grid.spans):
        first, last = span.bounds("test")
        found += [(series, row) for row in range(first - 1, last - task.horizon)]
    return found


def _named(task: Any) -> str:
    return "target" if task.encoding.targets else str(task.encoding.columns[0])


def _mean(values: torch.Tensor, rows: int) -> torch.Tensor | float:
    """[rows, K] the mean of the last ``rows`` values, or of all if there are fewer."""
    if not rows:
        return 0.0
    sums = torch.nn.functional.pad(values.cumsum(0), (0, 0, 1, 0))
    ends = torch.arange(1, len(values) + 1)
    starts = (ends - rows).clamp(min=0)
    return (sums[ends] - sums[starts]) / (ends - starts)[:, None]


def _line(values: Any) -> tuple[float | None, ...]:
    return tuple(float(value) for value in values)
