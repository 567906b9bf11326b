"""Forecasts of an artefact, in the user's units, as answers of a forecaster's network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from tidegate.errors import InputError
from tidegate.ship.check.meter import Meter
from tidegate.ship.flow import Answer, Flow
from tidegate.ship.flow.node import Array, Input
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import DirectModel, Window
from tidegate.train.task import AnyTask

CALENDAR: Mapping[str, Callable[[pd.DatetimeIndex], Any]] = {
    "second": lambda times: times.hour * 3600 + times.minute * 60 + times.second,
    "weekday": lambda times: times.dayofweek,
    "yearday": lambda times: times.dayofyear,
}


def forecaster(model: Any, task: Any, part: tuple[Flow, Any], meter: Meter) -> dict[str, Callable[..., Any]]:
    """The methods of a network that an artefact answers for.

    Args:
        model: the estimator.
        task: the rows.
        part: the flow, and what runs it.
        meter: compares forecasts in the unit of the target.

    Raises:
        InputError: a series is not among those of the training.
    """
    asked = Asked(model, task, *part)
    kind = Direct if isinstance(model.model_, DirectModel) else Recursive
    answering = kind(asked, model.model_, meter)
    return {"forward": answering.forward, "answers": answering.answers}


class Asked:
    """Gives rows of a grid to an artefact.

    Args:
        model: the estimator.
        task: has the grid.
        flow: of the model.
        runner: runs the artefact.
    """

    def __init__(self, model: Any, task: AnyTask, flow: Flow, runner: Any) -> None:
        self.model, self.task, self.flow, self.runner = model, task, flow, runner
        self.encoding = model.encoding_
        strange = [name for name in self.grid.names if name not in self.encoding.scales]
        if strange and self.encoding.scales:
            raise InputError(
                "SHIP_SERIES",
                f"the artefact knows no series {strange[0]!r}: it scales those of the training alone",
                fix=f"pass data of {', '.join(list(self.encoding.scales)[:8])}",
            )
        numbers = {name: number for number, name in enumerate(self.encoding.scales)}
        self.numbers = np.array([numbers.get(name, 0) for name in self.grid.names])

    @property
    def grid(self) -> Grid:
        """The rows."""
        grid: Grid = self.task.grid  # type: ignore[attr-defined]
        return grid

    def heard(self, batch: Window) -> Answer:
        """The answers to the rows of a batch; the layers begin with its first row, what is beside them earlier."""
        series, first, steps = batch.series.numpy(), batch.first.numpy(), len(batch.inputs)
        starts = np.array([span.start for span in self.grid.spans])[series]
        before, kept = np.minimum(first - starts, self.flow.facts["early"]), {}
        if before.any():
            earlier = self.runner.run(self.rows(series, first - before, int(before.max())), before.tolist())
            layers = {node.name for node in self.flow.recurrent}
            own = {state.name for state in self.flow.states if state.node in layers}
            kept = {name: value for name, value in earlier.states.items() if name not in own}
        lengths = None if batch.lengths is None else batch.lengths.tolist()
        answer: Answer = self.runner.run(self.rows(series, first, steps, lengths), lengths, kept)
        return answer

    def rows(self, series: Array, first: Array, steps: int, lengths: Any = None) -> dict[str, Array]:
        """The inputs of so many rows of some series; behind the end of a sequence the last row repeats."""
        places = first + np.arange(steps)[:, None]
        if lengths is not None:
            places = np.minimum(places, first + np.array(lengths) - 1)
        places = np.minimum(places, np.array([span.end for span in self.grid.spans])[series] - 1)
        return {one.name: self._input(one, series, places) for one in self.flow.inputs}

    def _input(self, one: Input, series: Array, places: Array) -> Array:
        encoding, width = self.encoding, one.kind.width
        if one.name == "target":
            truth: Array = self.grid.truth[places][..., None]
            return truth
        if one.name == "series":
            return np.broadcast_to(self.numbers[series], places.shape)[..., None]
        if one.name == "scale":
            return np.broadcast_to(self.grid.scales[series], (*places.shape, width))
        if one.name == "columns":
            mean, sd = np.array(encoding.mean[:width]), _spread(encoding.sd[:width])
            columns: Array = self.grid.inputs.numpy()[places][..., 1 : 1 + width].astype(np.float64) * sd + mean
            return columns
        if one.name in ("rest", "rolling"):
            return np.zeros((*places.shape, width))
        ahead = int(not encoding.effect)
        if one.name == "known":
            count = len(encoding.known)
            later = places[..., None] + ahead + np.arange(width // count)
            mean, sd = np.array(encoding.mean[-count:]), _spread(encoding.sd[-count:])
            known: Array = self.grid.ahead.numpy()[later][..., :count].astype(np.float64) * sd + mean
            return known.reshape(*places.shape, width)
        return self._calendar(one.name, series, places[..., None] + ahead + np.arange(width))

    def _calendar(self, name: str, series: Array, places: Array) -> Array:
        made = np.zeros(places.shape, np.int64)
        for number in np.unique(series):
            values = np.asarray(CALENDAR[name](self.grid.times[number]))
            own = places[:, series == number] - self.grid.spans[number].start
            made[:, series == number] = values[own]
        return made

    def as_answers(self, values: Array, batch: Window, places: Array) -> torch.Tensor:
        """Forecasts [T, B, steps, quantiles] from rows [T, B] in units of the network's answers."""
        shape, series = values.shape, np.broadcast_to(batch.series.numpy(), places.shape)
        made = self.grid.to_answers(values.reshape(-1, *shape[2:]), series.ravel(), places.ravel())
        return torch.from_numpy(made.reshape(shape)).float()

    def in_units(self, answers: torch.Tensor, batch: Window, places: Array) -> torch.Tensor:
        """The inverse."""
        shape, series = answers.shape, batch.series.expand(places.shape).reshape(-1)
        flat = answers.reshape(-1, *shape[2:])
        made = self.grid.in_units(flat, series, torch.from_numpy(places.ravel()))
        return torch.from_numpy(made.reshape(shape))


def _spread(sd: Any) -> Array:
    return np.array([value or 1.0 for value in sd])


class Direct:
    """All rows ahead at every step.

    Args:
        asked: runs the artefact.
        network: the network itself.
        meter: compares.
    """

    def __init__(self, asked: Asked, network: Any, meter: Meter) -> None:
        self.asked, self.network, self.meter = asked, network, meter

    def forward(self, batch: Window, state: Any = None) -> tuple[torch.Tensor, Any]:
        """As that of the network, with quantiles that are corrected already."""
        del state
        return self.answers(batch, self.network.horizon), None

    def answers(self, batch: Window, steps: int) -> torch.Tensor:
        """As that of the network."""
        asked, outputs = self.asked, self.asked.heard(batch).outputs
        count = len(outputs["quantiles"][0, 0]) // len(outputs["forecast"][0, 0]) if "quantiles" in outputs else 1
        values = outputs["quantiles" if count > 1 else "forecast"][batch.context :]
        values = values.reshape(*values.shape[:2], -1, count)[:, :, :steps].astype(np.float64)
        places = (batch.first.numpy() + np.arange(len(batch.inputs))[:, None])[batch.context :]
        there, wanted = batch.scored()[batch.context :], self.network.answers(batch, steps)
        self.meter.add(
            torch.from_numpy(values[..., count // 2])[there],
            asked.in_units(wanted[..., count // 2 : count // 2 + 1], batch, places)[..., 0][there],
        )
        return self._followed(asked.as_answers(values, batch, places), batch)

    def _followed(self, answers: torch.Tensor, batch: Window) -> torch.Tensor:
        """As wide as before the misses of the end of the training widened them: scoring follows misses itself."""
        encoding = self.asked.encoding
        if answers.shape[-1] == 1 or not encoding.usual:
            return answers
        names = [self.asked.grid.names[series] for series in batch.series.tolist()]
        spread = torch.tensor([encoding.lately.get(name, 1.0) for name in names])[:, None, None]
        median = answers[..., answers.shape[-1] // 2 :][..., :1]
        return median + (answers - median) / spread


class Recursive(Direct):
    """One row ahead, and further ones from its own forecasts."""

    def forward(self, batch: Window, state: Any = None) -> tuple[torch.Tensor, Any]:
        if batch.last:
            return self.answers(batch, batch.targets.shape[-1]), state
        asked, network = self.asked, self.network
        values = asked.heard(batch).outputs["forecast"][batch.context :][..., None].astype(np.float64)
        places = (batch.first.numpy() + np.arange(len(batch.inputs))[:, None])[batch.context :]
        wanted, _ = network(batch)
        wanted = wanted[..., wanted.shape[-1] // 2 :][..., :1]
        there = batch.scored()[batch.context :]
        self.meter.add(torch.from_numpy(values)[there], asked.in_units(wanted, batch, places)[there])
        return asked.as_answers(values, batch, places), None

    def answers(self, batch: Window, steps: int) -> torch.Tensor:
        asked, series = self.asked, batch.series.numpy()
        last = batch.first.numpy() + len(batch.inputs) - 1
        answer, made = asked.heard(batch), []
        for step in range(steps):
            made.append(answer.outputs["forecast"][-1, :, 0])
            if step + 1 < steps:
                inputs = asked.rows(series, last + step + 1, 1)
                for name, source in asked.flow.again.items():
                    own = inputs[name]
                    inputs[name] = (
                        answer.outputs[source][-1:] if isinstance(source, str) else np.full(own.shape, source)
                    )
                answer = asked.runner.run(inputs, None, answer.states)
        values = np.stack(made, -1)[None, ..., None].astype(np.float64)
        wanted = self.network.point(batch, steps)
        self.meter.add(torch.from_numpy(values), asked.in_units(wanted, batch, last[None]))
        return asked.as_answers(values, batch, last[None])
