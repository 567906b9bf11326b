"""Forecasters: which lags and columns drive a horizon, and what the plain forecast beside the layers adds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.errors import InputError
from tidegate.explain.kind.base import Aim, Kind, Reader, in_all
from tidegate.language import listed, say
from tidegate.tasks.forecast.model import RecursiveModel, Window, per_step
from tidegate.tasks.forecast.origin import histories
from tidegate.train.task import Split

CYCLES = {"day": say("day"), "week": say("week"), "year": say("year")}
PLAIN = {
    "last": say("last value"),
    "season": say("value a season before"),
    "linear": say("ridge regression"),
}
HORIZONS = 12
Rows = NDArray[np.intp]
Said = Callable[[Any], torch.Tensor]
Affine = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


class ForecastKind(Kind):
    """Forecasts of the rows after the last one of a window. The layers are explained without the plain forecast.

    Attributes:
        whole: the model as it forecasts, with the share of the plain forecast.
        share: how much of a forecast comes from the layers.
    """

    each, unit = True, say("standard deviations")
    says = "forecast"

    def __init__(self, model: torch.nn.Module, task: Any, split: Split = "test") -> None:
        super().__init__(model, task, split)
        self.share = float(self.model.share) if self.model.blends else 1.0
        if isinstance(self.model, RecursiveModel):
            reach = self.model.reach
            self.model.base = Smooth(task.encoding.base, reach)
        self.whole = copy.deepcopy(self.model)
        if self.model.blends:
            self.model.share.fill_(1.0)
        self.default = f"horizon:{task.horizon}"

    def left_out(self, aim: Aim) -> tuple[str, ...]:
        """A recursive model reads its own answers: gradients by lag take them as data, contributions do not."""
        if aim.horizon < 2 or not isinstance(self.model, RecursiveModel):
            return ()
        return (
            say("gradients by lag through the answers to rows 1 to {row}: they are taken as data", row=aim.horizon - 1),
        )

    def draw(self, count: int) -> Window:
        grid, horizon = self.task.grid, self.task.horizon
        bounds = [span.bounds(self.split) for span in grid.spans]
        rows = [np.arange(first - 1, last - horizon) for first, last in bounds]
        origins, series = np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(own) for own in rows])
        if not len(origins):
            raise InputError("EXPLAIN_EMPTY", "the data have no row to forecast from", fix="pass more rows")
        chosen = np.linspace(0, len(origins) - 1, min(count, len(origins))).round().astype(np.intp)
        return self.windows(series[chosen], origins[chosen], horizon)

    def windows(self, series: Rows, origins: Rows, horizon: int) -> Window:
        """Windows up to these rows, as long as the shortest history allows, from which so many rows are forecast."""
        grid = self.task.grid
        starts = np.array([span.start for span in grid.spans])
        context = min(self.task.setting.context, int((origins - starts[series]).min()) + 1)
        by_series = [origins[series == place] for place in range(len(grid.spans))]
        parts = list(histories(grid, by_series, context, horizon))
        axes = {name: axis for name, axis in AXES.items() if getattr(parts[0], name) is not None}
        joined: dict[str, Any] = {n: torch.cat([getattr(part, n) for part in parts], k) for n, k in axes.items()}
        return replace(parts[0], **joined).to(torch.float64)

    @torch.no_grad()
    def forcing(self, batch: Window) -> dict[int, tuple[float, float]] | None:
        """For each horizon the mean error where the model reads the true past, and where it reads its own answers.

        In standard deviations of the series; None for a model that forecasts all rows at once.
        """
        if not isinstance(self.whole, RecursiveModel) or self.task.horizon == 1:
            return None
        change = per_step(self.task.encoding.change, self.task.horizon)
        free = ((self.whole(batch)[0][-1, :, :, 0] - batch.targets[-1]) * change).abs().mean(0)
        found, series = {}, batch.series.numpy()
        origins = (batch.first + len(batch.levels) - 1).numpy()
        for horizon in spaced(self.task.horizon):
            one = self.windows(series, origins + horizon - 1, 1)
            forced = ((self.whole(one)[0][-1, :, 0, 0] - one.targets[-1, :, 0]) * change[0]).abs().mean()
            found[horizon] = (float(forced), float(free[horizon - 1]))
        return found

    def aim(self, batch: Window, target: str) -> Aim:
        """The forecast of one horizon, ``"horizon:3"`` or ``"last"``.

        Raises:
            InputError: there is no such horizon.
        """
        kind, _, number = target.partition(":")
        most = self.task.horizon
        horizon = most if target == "last" else int(number) if kind == "horizon" and number.isdecimal() else 0
        if not 1 <= horizon <= most:
            raise InputError(
                "TARGET",
                f"target={target!r} is no horizon of a model that forecasts {most} rows ahead",
                fix=f"choose target='horizon:{most}' or a smaller one",
            )
        return self.ahead(batch, horizon)

    def ahead(self, batch: Window, horizon: int) -> Aim:
        """The forecasts of a horizon, and their errors in standard deviations of the series."""
        change = float(per_step(self.task.encoding.change, horizon)[-1])
        truth = batch.targets[-1, :, horizon - 1]
        if isinstance(self.model, RecursiveModel):
            return self._onward(batch, horizon, truth, change)

        def answer(outputs: torch.Tensor) -> torch.Tensor:
            return change * outputs[-1, :, horizon - 1, outputs.shape[-1] // 2]

        return self._aimed(batch, change * truth, answer, horizon)

    def _onward(self, batch: Window, horizon: int, truth: torch.Tensor, change: float) -> Aim:
        """Of a recursive model: one run over the past and over its own answers, which it reads as they are."""
        read: list[torch.Tensor] = []
        plain = None if batch.plain is None else batch.plain[..., :horizon]
        asked = replace(batch, targets=batch.targets[..., :horizon], plain=plain)
        handle = self.model.encoder.register_forward_pre_hook(lambda _module, given: read.append(given[0]))
        with torch.no_grad():
            miss = change * (truth - self.model(asked)[0][-1, :, horizon - 1, 0])
        handle.remove()
        own = replace(batch, inputs=torch.cat(read), plain=None, last=False, context=0)
        unit = float(self.task.encoding.change[0])

        def answer(outputs: torch.Tensor) -> torch.Tensor:
            return unit * outputs[-1, :, 0, outputs.shape[-1] // 2]

        with torch.no_grad():
            wanted = answer(LayerReader(self.model, own)(own.inputs)) + miss
        return self._aimed(own, wanted, answer, horizon)

    def _aimed(self, batch: Window, truth: torch.Tensor, answer: Said, horizon: int) -> Aim:
        steps, rows = batch.inputs.shape[:2]
        lengths = torch.full((rows,), steps)

        def loss(outputs: torch.Tensor) -> torch.Tensor:
            return (truth - answer(outputs)).abs()

        reader = LayerReader(self.model, batch)
        return Aim(reader, batch.inputs, {}, lengths - 1, lengths, loss, answer, batch, horizon, truth)

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError  # a horizon is needed, too: see ``ahead``

    def labels(self, batch: Any, row: int) -> list[str]:
        """The times of the rows; a recursive model has read some that lie ahead."""
        grid, series = self.task.grid, int(batch.series[row])
        first = int(batch.first[row]) - grid.spans[series].start
        times = grid.times[series][first : first + len(batch.inputs)]
        return [str(time).removesuffix(" 00:00:00") for time in times]

    def features(self, batch: Any) -> tuple[str, ...]:
        del batch
        others = self.task.encoding.columns[1:]
        return (
            self.name,
            *others,
            say("change of {name}", name=self.name),
            *(say("{name} of the next row", name=name) for name in self.known),
        )

    @property
    def known(self) -> tuple[str, ...]:
        """What is known ahead: columns, and the place of a row in cycles of the calendar."""
        waves = (
            say("{cycle} ({wave})", cycle=CYCLES.get(cycle, cycle), wave=wave)
            for wave in (say("sine"), say("cosine"))
            for cycle in self.task.encoding.cycles
        )
        return (*self.task.encoding.known, *waves)

    @property
    def name(self) -> str:
        """The target."""
        encoding = self.task.encoding
        return say("the target") if encoding.targets else str(encoding.columns[0])

    def target(self, target: str) -> str:
        horizon = target.partition(":")[2] or self.task.horizon
        return say("the error of the forecast {horizon} rows ahead", horizon=horizon)

    def shortened(self, aim: Aim, context: int) -> Aim:
        """The same forecasts by layers that read so many last rows only."""
        batch, rows = aim.batch, min(context, len(aim.batch.levels))
        batch = replace(
            batch,
            inputs=batch.inputs[: len(batch.levels)][-rows:],
            ahead=batch.ahead[-(rows + self.task.horizon) :],
            context=rows - 1,
            last=True,
        )
        return self.ahead(batch, aim.horizon)

    def season(self) -> tuple[int, str]:
        season = self.task.encoding.season
        return (season, say("the season of the training rows")) if season > 1 else (0, "")

    @torch.no_grad()
    def shares(self, aim: Aim) -> Mapping[str, float]:
        """How far each part of the forecasts varies over the sequences, relative to all parts together."""
        batch, encoding, horizon = aim.batch, self.task.encoding, aim.horizon
        if not encoding.plain and encoding.difference == "none":
            return {}
        origin = batch.first + len(batch.levels) - 1
        base = encoding.base(self.task.grid.levels, origin, horizon)[:, -1]
        plain = encoding.plainly(self.task.grid.levels, origin, horizon)[:, -1] if encoding.plain else base
        layers = aim.answer(aim.model(aim.x))
        parts = {self.anchor: (1 - self.share) * plain + self.share * base, say("layers"): self.share * layers}
        if encoding.effect:
            ahead = batch.ahead[len(batch.levels) - 1 + horizon]
            parts[say("linear effect of what is known ahead")] = ahead @ torch.tensor(
                encoding.effect, dtype=ahead.dtype
            )
        return in_all({name: float((part - part.mean()).abs().mean()) for name, part in parts.items()})

    @property
    def anchor(self) -> str:
        """What the layers correct or are blended with, in words."""
        kinds = dict.fromkeys(
            k for k in (self.task.encoding.plain, self.task.encoding.difference) if k not in ("", "none")
        )
        return listed([PLAIN[kind] for kind in kinds]) if kinds else ""


def spaced(most: int) -> list[int]:
    """At most twelve horizons, the first and the last among them."""
    return sorted({int(place) for place in np.linspace(1, most, min(most, HORIZONS)).round()})


AXES = {"inputs": 1, "targets": 1, "levels": 1, "ahead": 1, "plain": 1, "series": 0, "first": 0}


class LayerReader(Reader):
    """A forecaster that reads the inputs of its layers as a plain tensor; what else it reads stays as it is."""

    def __init__(self, model: torch.nn.Module, batch: Window) -> None:
        super().__init__(model, batch, ForecastKind.ask)

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None, batch: Any = None) -> torch.Tensor:
        """Answers to inputs [T, B, features]; all sequences have T steps. A batch takes the place of its own."""
        del lengths
        batch = batch or self.batch
        context = len(x) - 1 if batch.last else 0
        outputs: torch.Tensor = self.ask(vars(self)["inner"], replace(batch, inputs=x, context=context))
        return outputs


class Smooth:
    """A forecast that is affine in the last values of a series, as torch computes it, so that gradients go through.

    Args:
        forecast: as ``ForecastEncoding.base``.
        reach: the number of rows before the present one that it reads.
    """

    def __init__(self, forecast: Affine, reach: int) -> None:
        self.forecast, self.reach, self._known = forecast, reach, dict[int, tuple[torch.Tensor, torch.Tensor]]()

    def __call__(self, levels: torch.Tensor, time: torch.Tensor, steps: int, /) -> torch.Tensor:
        """[steps, B] the forecasts from one row of levels [rows, B]; the first row is repeated before the start."""
        weights, start = self._map(steps)
        past = levels[(time + torch.arange(-self.reach, 1)).clamp(min=0)]
        return weights.T.to(levels.dtype) @ past + start[:, None].to(levels.dtype)

    def _map(self, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [rows, steps] and the forecasts [steps] from zeros, read off at unit vectors."""
        if steps not in self._known:
            rows = self.reach + 1
            unit = torch.cat([torch.zeros(rows, 1), torch.eye(rows)], 1).double()
            found = self.forecast(unit, torch.tensor(rows - 1), steps)  # [steps, 1 + rows]
            self._known[steps] = (found[:, 1:] - found[:, :1]).T, found[:, 0]
        return self._known[steps]
