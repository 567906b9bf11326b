"""What a forecaster learns from training rows besides weights: columns, scales, the season."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import ISO, NUMBER, Dating, check_step
from tidegate.data.number import Decimal
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel
from tidegate.tasks.forecast.ridge import Linear
from tidegate.tasks.forecast.setting import Difference, ForecastSetting
from tidegate.train.task import Encoding, MakeLayer

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ForecastEncoding(Encoding[ForecastSetting]):
    """The columns to read, the target first, and their scale in the training rows.

    Attributes:
        columns: the target, and the columns known up to the present row. Several targets are one name.
        known: columns known ahead.
        cycles: cycles of the calendar, which are also known ahead.
        step: the time step between rows; empty without a time column.
        dates, zone: how the times are written: their spelling, or that they are numbers; their zone or offsets.
        mean, sd: mean and standard deviation of the other columns, over all series.
        scales: mean and standard deviation of the target in each series.
        difference: the base from which the model forecasts the difference.
        strategy: how the model forecasts several rows; empty in models of earlier versions, whose settings say it.
        centre: number of last rows whose mean is subtracted from the target as an input.
        linear: [order + 1, steps] weights of the linear base where they are not those of ``ridge``.
        ridge: the ridge regression of all steps, as ``Linear.to_text`` writes it.
        plain: the forecast with which that of the layers is blended; empty in models of earlier versions.
        logs: mean and standard deviation of the target's logarithm in each series, if that is forecast.
        effect: [known ahead] the effect of what is known ahead, which is taken out of the target; empty for none.
        season: rows in a season; 1 for none.
        pace: standard deviation of the target's change from row to row, in its own standard deviations.
        change: [horizon] standard deviation of the difference to forecast, for each step ahead.
        naive: mean absolute error of the seasonal naive forecast in training, by series, in its own unit.
        decimal: the decimal mark of the training data; None if no number has one.
        targets: the names of several targets; empty if there is only one.
        categories: the texts that are inputs, by the column that holds them.
        usual: the mean miss in validation as a share of the width of the interval, by series, if there are intervals.
        lately: how much wider than in validation intervals are at the end of the training data, by series.
        until: the last time of the training data, by series; none without a time column.
    """

    columns: tuple[str, ...]
    known: tuple[str, ...]
    cycles: tuple[str, ...]
    step: str
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    scales: dict[str, tuple[float, float]]
    difference: Difference
    centre: int
    linear: tuple[tuple[float, ...], ...]
    season: int
    pace: float
    change: tuple[float, ...]
    naive: dict[str, float]
    dates: str = ""  # models of earlier versions lack these
    zone: str = ""
    decimal: Decimal | None = None
    targets: tuple[str, ...] = ()
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    strategy: Literal["", "recursive", "direct"] = ""
    ridge: str = ""
    plain: Literal["", "last", "season", "linear"] = ""
    logs: dict[str, tuple[float, float]] = field(default_factory=dict)
    effect: tuple[float, ...] = ()
    usual: dict[str, float] = field(default_factory=dict)
    lately: dict[str, float] = field(default_factory=dict)
    until: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        others = len(self.columns) + len(self.known) - 1
        if not len(self.mean) == len(self.sd) == others or others < 0:
            raise ValueError(f"the encoding has {len(self.mean)} means of {others} columns")
        if self.scales.keys() != self.naive.keys() or not self.change or self.season < 1 or self.centre < 0:
            raise ValueError("the encoding has scales of other series, no scale ahead, or no season")
        widths, orders = {len(row) for row in self.linear}, len(self.linear)
        if orders == 1 or len(widths - {0}) != bool(orders):
            raise ValueError("the weights of the linear autoregression are not a matrix")
        if "linear" in (self.plain, self.difference if not orders else "") and not self.ridge:
            raise ValueError("the encoding has no ridge regression")
        if (self.logs and self.logs.keys() != self.scales.keys()) or len(self.effect) not in (0, self.ahead):
            raise ValueError("the encoding has logarithms of other series, or effects of other columns")
        self.forecaster  # noqa: B018  a damaged text is found here
        if self.step and self.dates:
            check_step(self.step, dated=self.dates != NUMBER)

    @property
    def features(self) -> int:
        """The number of inputs at each step: the columns, the change of the target, and what is known ahead."""
        return len(self.columns) + 1 + self.ahead

    @property
    def ahead(self) -> int:
        """The number of inputs known ahead."""
        return len(self.known) + 2 * len(self.cycles)

    @cached_property
    def forecaster(self) -> Linear | None:
        """The ridge regression of all steps; models of earlier versions have none."""
        return Linear.from_text(self.ridge) if self.ridge else None

    @cached_property
    def own(self) -> Linear | None:
        """The linear base, if it is linear."""
        if self.difference != "linear":
            return None
        return Linear(np.array(self.linear)) if self.linear else self.forecaster

    def model(self, layer: MakeLayer, setting: ForecastSetting) -> DirectModel | RecursiveModel:
        setting = replace(setting, strategy=self.strategy or setting.strategy, difference=self.difference)
        if setting.strategy == "direct":
            return DirectModel(self.features, self.ahead, layer, setting, blends=bool(self.plain))
        return RecursiveModel(
            self.features, layer, setting, self.base, self.reach, self.pace, self.change, blends=bool(self.plain)
        )

    def base(self, levels: torch.Tensor, time: torch.Tensor, steps: int) -> torch.Tensor:
        """[..., steps] the base of forecasts from these rows."""
        return self._forecast(self.difference, self.own, levels, time, steps)

    def plainly(self, levels: torch.Tensor, time: torch.Tensor, steps: int) -> torch.Tensor:
        """[..., steps] the forecasts from these rows with which those of the layers are blended."""
        return self._forecast(self.plain, self.forecaster, levels, time, steps)

    def _forecast(
        self, kind: str, linear: Linear | None, levels: torch.Tensor, time: torch.Tensor, steps: int
    ) -> torch.Tensor:
        if kind == "none":
            return levels.new_zeros(*time.shape, steps, *levels.shape[1:])
        if kind == "linear":
            assert linear is not None
            return _linear(linear, levels, time, steps)
        ahead = torch.arange(1, steps + 1)
        back = 0 * ahead if kind == "last" else ahead - self.season * -(-ahead // self.season)
        return levels[(time[..., None] + back).clamp(min=0)]

    @property
    def reach(self) -> int:
        """The number of rows before the present one that the base reads."""
        return self._reach(self.difference, self.own)

    @property
    def early(self) -> int:
        """The number of rows before the present one that the base or the plain forecast reads."""
        return max(self.reach, self._reach(self.plain, self.forecaster))

    def _reach(self, kind: str, linear: Linear | None) -> int:
        return self.season if kind == "season" else linear.order - 1 if kind == "linear" and linear else 0

    def scale(self, name: str, history: Values) -> tuple[float, float]:
        """Mean and standard deviation of a series, from its history if training lacks it."""
        return self.scales.get(name) or scale_of(history)

    def log_scale(self, name: str, history: Values) -> tuple[float, float]:
        """The same of its logarithm."""
        return self.logs.get(name) or scale_of(np.log(history))

    @property
    def dating(self) -> Dating:
        """How new data are read: as the training data."""
        if not self.dates:
            return Dating(step=self.step)
        return Dating(form=self.dates, zone=self.zone, step=self.step, learnt=True)

    @property
    def remembered(self) -> Self:
        """The encoding that reads what the model itself wrote: its dates are in ISO 8601."""
        return dataclasses.replace(self, dates=ISO) if self.dates not in ("", NUMBER) else self

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def scale_of(values: Values) -> tuple[float, float]:
    """Mean and standard deviation; the latter is 1 for values that do not vary."""
    return float(values.mean()), float(values.std()) or 1.0


def _linear(linear: Linear, levels: torch.Tensor, time: torch.Tensor, steps: int) -> torch.Tensor:
    """[..., steps, (B)] the linear forecasts from rows of levels [rows, (B)]."""
    past = levels[(time[..., None] + torch.arange(1 - linear.order, 1)).clamp(min=0)]  # [..., order, (B)]
    rows = past.movedim(-2, -1) if levels.dim() > 1 else past
    found: torch.Tensor = _Continued.apply(rows, linear, steps)  # type: ignore[no-untyped-call]
    return found.movedim(-1, -2) if levels.dim() > 1 else found


class _Continued(torch.autograd.Function):
    """The linear forecasts [..., steps] from the last values [..., order], which are affine in them."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, linear: Linear, steps: int) -> torch.Tensor:
        ctx.linear, ctx.steps = linear, steps
        flat = linear.continued(rows.detach().reshape(-1, linear.order).double().numpy(), steps)
        return torch.from_numpy(flat).to(rows.dtype).reshape(*rows.shape[:-1], steps)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        unit = ctx.linear.continued(np.eye(ctx.linear.order + 1, ctx.linear.order), ctx.steps)  # last row: from zeros
        return gradient @ torch.from_numpy(unit[:-1] - unit[-1:]).to(gradient.dtype).T, None, None
