"""A forecaster whose network is an artefact: it is given rows as callers have them, and answers as the task reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tidegate.ship.flow import Answer, Flow
from tidegate.ship.flow.node import Array
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import DirectModel, Window

DAY = 86_400


def forecasting(module: Any, encoding: ForecastEncoding, grid: Grid, flow: Flow, ask: Callable[..., Answer]) -> None:
    """Let a flow answer for the network of a forecaster.

    Args:
        module: the network.
        encoding: what it learnt of its columns.
        grid: the rows that are forecast.
        flow: of the model.
        ask: runs it.
    """
    asked = _Asked(encoding, grid, flow, ask, direct=isinstance(module, DirectModel))

    def forward(batch: Window, state: Any = None) -> tuple[torch.Tensor, Any]:
        return asked.answers(batch, batch.targets.shape[-1]), state

    module.forward, module.answers = forward, asked.answers


@dataclass(frozen=True)
class _Asked:
    """An artefact and the rows that it is asked about."""

    encoding: ForecastEncoding
    grid: Grid
    flow: Flow
    ask: Callable[..., Answer]
    direct: bool

    def answers(self, batch: Window, steps: int) -> torch.Tensor:
        """[T, B, steps, quantiles] as the network answers a batch, behind its context."""
        first, series = batch.first.numpy(), batch.series.numpy()
        count = len(batch.inputs)
        ends = np.full(len(first), count) if batch.lengths is None else batch.lengths.numpy()
        answer = self._read(first, series, ends, count)
        rows = np.minimum(np.arange(batch.context, count)[:, None], ends - 1) + first  # [T, B]
        made = self._made(answer, batch, steps, series) if self.direct else self._rolled(answer, batch, steps, series)
        flat = made.reshape(-1, *made.shape[2:])
        answers = self.grid.to_answers(flat, np.tile(series, len(rows)), rows.ravel())
        return torch.from_numpy(answers.reshape(made.shape))

    def _made(self, answer: Answer, batch: Window, steps: int, series: Array) -> Array:
        """The forecasts of a direct model in the unit of the target, as wide as in validation."""
        name = "quantiles" if "quantiles" in answer.outputs else "forecast"
        values = answer.outputs[name][batch.context :]
        fan = values.reshape(*values.shape[:2], len(self.encoding.change), -1)[:, :, :steps]
        if fan.shape[3] == 1 or not self.encoding.usual:
            return fan
        names = self.grid.names
        spread = np.array([self.encoding.lately.get(names[k], 1.0) for k in series])[None, :, None, None]
        fan = np.log(fan) if self.encoding.logs else fan
        median = fan[..., fan.shape[3] // 2][..., None]
        fan = median + (fan - median) / spread
        return np.exp(fan) if self.encoding.logs else fan  # type: ignore[no-any-return]

    def _rolled(self, answer: Answer, batch: Window, steps: int, series: Array) -> Array:
        """The forecasts of a recursive model: of the next row, or from the last row on of several."""
        made = answer.outputs["forecast"][batch.context :]
        if not batch.last and steps == 1:
            return made[..., None]
        path, row = [made[-1]], batch.first.numpy() + len(batch.inputs)
        for step in range(1, steps):
            inputs = self._inputs((row + step - 1)[None], series)
            for name, source in self.flow.again.items():
                whole = np.full(inputs[name].shape, source) if not isinstance(source, str) else answer.outputs[source]
                inputs[name] = whole[-1:]
            answer = self.ask(self.flow, inputs, None, answer.states)
            path.append(answer.outputs["forecast"][-1])
        return np.stack(path, 1)[None]

    def _read(self, first: Array, series: Array, ends: Array, count: int) -> Answer:
        """The answers to windows of rows; what is before them is read, too, but not by the layers."""
        starts = np.array([self.grid.spans[k].start for k in series])
        lead = np.minimum(first - starts, self.flow.facts["early"])
        before = np.minimum(np.arange(int(lead.max(initial=0)))[:, None], np.maximum(lead - 1, 0)) + first - lead
        states = self.ask(self.flow, self._inputs(before, series), lead.tolist(), None).states if len(before) else {}
        layers = {state.name for state in self.flow.states for node in self.flow.recurrent if state.node == node.name}
        kept = {name: value for name, value in states.items() if name not in layers}
        rows = np.minimum(np.arange(count)[:, None], ends - 1) + first
        return self.ask(self.flow, self._inputs(rows, series), ends.tolist(), kept)

    def _inputs(self, rows: Array, series: Array) -> dict[str, Array]:
        """The inputs of rows [T, B] of the grid, in the units of the data."""
        encoding, grid = self.encoding, self.grid
        near, observed = int(not encoding.effect), len(encoding.columns)
        columns = np.asarray(grid.inputs)[rows][..., 1:observed] * encoding.sd[: observed - 1]
        place = {name: k for k, name in enumerate(encoding.scales)}
        given: dict[str, Array] = {
            "target": np.nan_to_num(grid.truth[rows])[..., None],
            "columns": columns + encoding.mean[: observed - 1],
            "series": np.tile([place.get(grid.names[k], 0) for k in series], (len(rows), 1))[..., None],
        }
        for one in self.flow.inputs:
            if one.name not in given:
                given[one.name] = self._ahead(one.name, one.kind.width, rows + near)
        return {one.name: given[one.name] for one in self.flow.inputs}

    def _ahead(self, name: str, width: int, rows: Array) -> Array:
        """What is known ahead of rows and of those behind them; zeros for what only a rolled forecast needs."""
        encoding, known = self.encoding, len(self.encoding.known)
        values = np.asarray(self.grid.ahead).astype(np.float64)
        if name == "known":
            own = values[:, :known] * encoding.sd[-known:] + encoding.mean[-known:]
        elif name in ("second", "weekday", "yearday"):
            own = _calendar(encoding, values[:, known:])[name][:, None]
        else:
            return np.zeros((*rows.shape, width))
        near = np.minimum(rows[..., None] + np.arange(width // own.shape[1]), len(own) - 1)
        ahead: Array = own[near]
        return ahead.reshape(*rows.shape, width)


def _calendar(encoding: ForecastEncoding, waves: Array) -> dict[str, Array]:
    """The integers of the calendar from the sines and cosines of its cycles."""
    half = len(encoding.cycles)
    turns = np.arctan2(waves[:, :half], waves[:, half:]) / (2 * np.pi) % 1
    places = dict(zip(encoding.cycles, turns.T, strict=True))
    found: dict[str, Array] = {}
    if "day" in places:
        found["second"] = np.rint(places["day"] * DAY).astype(np.int64) % DAY
    if "week" in places:
        seconds = np.rint(places["week"] * 7 * DAY).astype(np.int64) % (7 * DAY)
        found["weekday"] = seconds // DAY
        found.setdefault("second", seconds % DAY)
    if "year" in places:
        found["yearday"] = np.rint(places["year"] * 366).astype(np.int64) + 1
    return found
