"""Models of forecasts: one predicts all rows ahead at once, the other row by row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Protocol

import torch

from tidegate.tasks.forecast.setting import ForecastSetting, forecast_levels
from tidegate.train.batch import Batch
from tidegate.train.carry import mapped
from tidegate.train.task import MakeLayer, SequenceModel, dropped

LADDER = tuple(
    (step + 0.5) / 21 for step in range(21)
)  # equally likely quantiles; each step of a sample path takes one
PATHS, DRAWN = 200, 2000  # fewest sample paths of a series, and of all series in a batch
LOCAL = 16  # width of the layer that combines the state with inputs known ahead

Choose = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Window(Batch):
    """Rows of series; ``targets`` are [T, B, steps ahead] differences, in units of their standard deviation.

    Attributes:
        levels: [T, B] the target in standard deviations of its series.
        ahead: [T + steps, B, known] inputs that are known before each row.
        series: [B] the series of each window.
        first: [B] the index of its first row among all rows.
        plain: forecasts without layers, as ``targets``; None in training.
        last: whether to forecast from the last row only; ``targets`` are [1, B, steps] then.
        moved: [T, B, steps] by how much changed data move the base from which answers count, in the unit of answers;
            None where the data are as they were.
    """

    levels: torch.Tensor = field(kw_only=True)
    ahead: torch.Tensor = field(kw_only=True)
    series: torch.Tensor = field(kw_only=True)
    first: torch.Tensor = field(kw_only=True)
    plain: torch.Tensor | None = None
    last: bool = False
    moved: torch.Tensor | None = None


class Base(Protocol):
    """The base of forecasts; see ``ForecastEncoding.base``."""

    def __call__(self, levels: torch.Tensor, time: torch.Tensor, steps: int, /) -> torch.Tensor: ...


def trained_levels(setting: ForecastSetting) -> tuple[float, ...]:
    """The quantiles that the head predicts: as set, or a ladder from which sample paths draw."""
    return LADDER if setting.strategy == "recursive" and setting.quantiles else forecast_levels(setting)


class ForecastModel(SequenceModel):
    """What both models share: the blend with a plain forecast, and corrections of quantiles.

    Equations:
        o := o + (1 - share) (p - median o),  p the plain forecast;  o[k, q] := o[k, q] + shift[k, q]

    ``share`` is 1 and ``shift`` 0 until ``ForecastTask.settle`` fits them in validation.

    Args:
        features: the number of inputs of the layers.
        layer: makes them.
        setting: the settings.
        outputs: the number of outputs at each step.
        blends: whether there is a plain forecast; models of earlier versions have none.
    """

    share: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self, features: int, layer: MakeLayer, setting: ForecastSetting, outputs: int, *, blends: bool
    ) -> None:
        super().__init__(torch.nn.Identity(), features, layer, setting.dropout, outputs)
        self.blends = blends
        if blends:
            self.register_buffer("share", torch.ones(()))
            self.register_buffer("shift", torch.zeros(setting.horizon, len(forecast_levels(setting))))

    def blended(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Outputs [T, B, steps, quantiles] in order, moved towards the plain forecast."""
        plain = batch.plain if isinstance(batch, Window) else None
        if plain is None or not self.blends or self.training:
            return outputs
        outputs = outputs[:, :, : plain.shape[2]]
        return outputs + (1 - self.share) * (plain - outputs[..., outputs.shape[-1] // 2])[..., None]

    def shifted(self, outputs: torch.Tensor) -> torch.Tensor:
        """Corrected quantiles [T, B, steps, quantiles], sorted so that they do not cross; the median stays."""
        if not self.blends:
            return outputs
        steps, middle = outputs.shape[2], outputs.shape[3] // 2
        moved = outputs + self.shift[torch.arange(steps).clamp(max=len(self.shift) - 1)].to(outputs.dtype)
        median = outputs[..., middle : middle + 1]
        return torch.cat(
            [
                torch.minimum(moved[..., :middle], median).sort(-1).values,
                median,
                torch.maximum(moved[..., middle + 1 :], median).sort(-1).values,
            ],
            -1,
        )


class DirectModel(ForecastModel):
    """Predicts all rows ahead at once, each with its quantiles.

    Equations:
        o[t] = W h[t] + b  (steps x quantiles)
        o[t, k] += V tanh(U (M h[t], a[t + k]) + u) + v  if inputs a are known ahead and there are several steps

    References:
        The shared map of state and known columns follows the local network of Wen et al. 2017, arXiv 1711.11053;
        the map M is the same for all steps here, and there is no hidden layer before it.
    """

    def __init__(self, features: int, ahead: int, layer: MakeLayer, setting: ForecastSetting, *, blends: bool) -> None:
        count = len(forecast_levels(setting))
        super().__init__(features, layer, setting, setting.horizon * count, blends=blends)
        self.horizon = setting.horizon
        _begin(self.head, setting)
        self.mix: torch.nn.Linear | None = None
        if ahead and setting.horizon > 1:
            self.mix = torch.nn.Linear(self.layer.output_size, LOCAL)
            self.local = torch.nn.Sequential(
                torch.nn.Linear(LOCAL + ahead, LOCAL), torch.nn.Tanh(), torch.nn.Linear(LOCAL, count)
            )
            if setting.difference != "none":
                for parameter in self.local[-1].parameters():
                    torch.nn.init.zeros_(parameter)

    def readers(self) -> dict[str, list[str]]:
        """The head, and the map beside inputs known ahead."""
        return {"layer": ["head", *(["mix"] if self.mix is not None else [])]}

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs [T, B, steps, quantiles], in evaluation only those after the context, and the state."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        hidden = dropped(self, hidden if self.training else hidden[batch.context :], self.dropout)
        outputs = self.head(hidden).unflatten(-1, (self.horizon, -1))
        if self.mix is not None:
            assert isinstance(batch, Window)
            ahead = batch.ahead[-(len(hidden) + self.horizon - 1) :].unfold(0, self.horizon, 1).movedim(-1, 2)
            mixed = self.mix(hidden)[:, :, None].expand(-1, -1, self.horizon, -1)
            outputs = outputs + self.local(torch.cat([mixed, ahead], -1))
        if not self.training:
            outputs = self.blended(_ordered(outputs), batch)
        return outputs, state

    def answers(self, batch: Window, steps: int) -> torch.Tensor:
        """Quantiles [T, B, steps, quantiles]."""
        outputs: torch.Tensor = self(batch)[0]
        return self.shifted(outputs[:, :, :steps])


class RecursiveModel(ForecastModel):
    """Predicts one row ahead, and further rows from its own predictions.

    In training it reads true rows. The point forecast reads its own median; quantiles are those of sample paths,
    each step of which draws one of 21 equally likely quantiles. These cover the predicted distribution except for the
    outermost 2 % on either side.
    """

    def __init__(
        self,
        features: int,
        layer: MakeLayer,
        setting: ForecastSetting,
        base: Base,
        reach: int,
        pace: float,
        change: Sequence[float],
        *,
        blends: bool,
    ) -> None:
        super().__init__(features, layer, setting, len(trained_levels(setting)), blends=blends)
        self.setting, self.base, self.reach = setting, base, reach
        _begin(self.head, setting)
        self.pace, self.change = pace, change

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Outputs [T, B, 1, quantiles] of the next row, or [1, B, steps, 1] of as many as the batch has targets."""
        if isinstance(batch, Window) and batch.last:
            return self.point(batch, batch.targets.shape[-1]), state
        outputs, state = super().forward(batch, state)
        outputs = outputs[:, :, None]
        return outputs if self.training else self.blended(_ordered(outputs[batch.context :]), batch), state

    def answers(self, batch: Window, steps: int) -> torch.Tensor:
        """[1, B, steps, quantiles] at the last row."""
        batch = batch.to(self.head.weight.dtype)  # a call of the model would convert it
        if not self.setting.quantiles:
            return self.point(batch, steps)
        generator = torch.Generator().manual_seed(self.setting.seed)

        def draw(answer: torch.Tensor) -> torch.Tensor:
            picks = torch.randint(answer.shape[-1], (len(answer), 1), generator=generator)
            return answer.gather(-1, picks)[:, 0]

        count = max(PATHS, DRAWN // len(batch.series))
        paths = self._normal(batch, self._rolled(batch, steps, count, draw))
        wanted = torch.tensor(forecast_levels(self.setting), dtype=paths.dtype)
        return self.shifted(self.blended(torch.quantile(paths, wanted, dim=-1).movedim(0, -1), batch))

    def point(self, batch: Window, steps: int) -> torch.Tensor:
        """[1, B, steps, 1] the path of medians, blended: the forecast that scores are of."""
        return self.blended(self._normal(batch, self._rolled(batch, steps, 1, _median)), batch)

    def _rolled(self, batch: Window, steps: int, paths: int, choose: Choose) -> torch.Tensor:
        """[steps, B, paths] levels of the target."""
        hidden, state = self.layer(self.encoder(batch.inputs))
        hidden, state = (
            hidden[-1].repeat_interleave(paths, 0),
            mapped(state, lambda part: part.repeat_interleave(paths, 1)),
        )
        ahead = batch.ahead.repeat_interleave(paths, 1)
        path = list(batch.levels[-max(2, self.reach + 1, self.setting.centre) :].repeat_interleave(paths, 1))
        for step in range(1, steps + 1):
            answer = self.head(dropped(self, hidden, self.dropout)).sort(-1).values
            window = torch.stack(path[-self.reach - 1 :])
            base = self.base(window, torch.tensor(len(window) - 1), 1)[0]
            path.append(base + self.change[0] * choose(answer))
            if step < steps:
                row = torch.cat([self._read(path), ahead[len(batch.inputs) + step]], -1)
                hidden, state = self.layer(self.encoder(row[None]), state)
                hidden = hidden[0]
        levels: torch.Tensor = torch.stack(path[-steps:]).unflatten(1, (-1, paths))
        return levels

    def _read(self, path: list[torch.Tensor]) -> torch.Tensor:
        """[B, 2] the inputs from the target at the end of a path."""
        centre = torch.stack(path[-self.setting.centre :]).mean(0) if self.setting.centre else 0.0
        return torch.stack([path[-1] - centre, (path[-1] - path[-2]) / self.pace], -1)

    def _normal(self, batch: Window, levels: torch.Tensor) -> torch.Tensor:
        """[1, B, steps, paths] levels as differences from the base, in units of their standard deviation."""
        base = self.base(batch.levels, torch.tensor(len(batch.levels) - 1), len(levels))[..., None]
        change = per_step(self.change, len(levels)).to(levels.dtype)
        return ((levels - base) / change[:, None, None]).transpose(0, 1)[None]


def _begin(head: torch.nn.Linear, setting: ForecastSetting) -> None:
    """Start at the base, with normal errors."""
    if setting.difference != "none":
        spread = torch.tensor([NormalDist().inv_cdf(level) for level in trained_levels(setting)])
        torch.nn.init.zeros_(head.weight)
        head.bias.data.copy_(spread.repeat(len(head.bias) // len(spread)))


def _ordered(outputs: torch.Tensor) -> torch.Tensor:
    return outputs.sort(-1).values if outputs.shape[-1] > 1 else outputs


def _median(answer: torch.Tensor) -> torch.Tensor:
    return answer[:, answer.shape[-1] // 2]


def per_step(change: Sequence[float], steps: int) -> torch.Tensor:
    """[steps] float64: the standard deviation of the difference for each step; the last applies to further steps."""
    return torch.tensor([*change, *[change[-1]] * (steps - len(change))][:steps], dtype=torch.float64)


def pinball(miss: torch.Tensor, levels: Sequence[float]) -> torch.Tensor:
    """Twice the quantile loss of truth less forecast [..., quantiles]: the absolute error at the median.

    Equations:
        2 max(q m, (q - 1) m),  m = truth - forecast
    """
    level = torch.tensor(levels, dtype=miss.dtype)
    return 2 * torch.maximum(level * miss, (level - 1) * miss)
