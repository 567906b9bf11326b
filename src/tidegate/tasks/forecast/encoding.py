"""What a forecaster learns from training rows besides weights: columns, scales, the season."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import ISO, NUMBER, Clock, Dating, Panel, check_step, cycles
from tidegate.data.category import named
from tidegate.data.number import Decimal
from tidegate.errors import InputError
from tidegate.tasks.forecast.baseline import Linear, ahead_of, linear
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel
from tidegate.tasks.forecast.season import season as estimated_season
from tidegate.tasks.forecast.setting import Difference, ForecastSetting
from tidegate.tasks.forecast.split import Span
from tidegate.train.task import Encoding, MakeLayer

STRAIGHT = 1e-9  # standard deviations; smaller changes of slope are rounding
NEAR = 0.05  # relative; an estimate this close to a day, a week or a year is replaced by it
LEAST = 1e-3  # smallest scale, relative to the largest; some series hardly change over whole seasons

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
        centre: number of last rows whose mean is subtracted from the target as an input.
        linear: [order + 1, horizon] weights of the linear autoregression, if that is the base.
        season: rows in a season; 1 for none.
        pace: standard deviation of the target's change from row to row, in its own standard deviations.
        change: [horizon] standard deviation of the difference to forecast, for each step ahead.
        naive: mean absolute error of the seasonal naive forecast in training, by series, in its own unit.
        decimal: the decimal mark of the training data; None if no number has one.
        targets: the names of several targets; empty if there is only one.
        categories: the texts that are inputs, by the column that holds them.
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

    def __post_init__(self) -> None:
        others = len(self.columns) + len(self.known) - 1
        if not len(self.mean) == len(self.sd) == others or others < 0:
            raise ValueError(f"the encoding has {len(self.mean)} means of {others} columns")
        if self.scales.keys() != self.naive.keys() or not self.change or self.season < 1 or self.centre < 0:
            raise ValueError("the encoding has scales of other series, no scale ahead, or no season")
        widths, orders = {len(row) for row in self.linear}, len(self.linear)
        if orders == 1 or len(widths - {0}) != bool(orders) or (self.difference == "linear") != bool(orders):
            raise ValueError("the weights of the linear autoregression are not a matrix")
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

    def model(self, layer: MakeLayer, setting: ForecastSetting) -> DirectModel | RecursiveModel:
        if setting.strategy == "direct":
            return DirectModel(self.features, self.ahead, layer, setting)
        return RecursiveModel(self.features, layer, setting, self.base, self.reach, self.pace, self.change)

    def base(self, levels: torch.Tensor, time: torch.Tensor, steps: int) -> torch.Tensor:
        """[..., steps] the base of forecasts from these rows."""
        if self.difference == "none":
            return levels.new_zeros(*time.shape, steps, *levels.shape[1:])
        if self.difference == "linear":
            return self._linear(levels, time, steps)
        ahead = torch.arange(1, steps + 1)
        back = 0 * ahead if self.difference == "last" else ahead - self.season * -(-ahead // self.season)
        return levels[(time[..., None] + back).clamp(min=0)]

    def _linear(self, levels: torch.Tensor, time: torch.Tensor, steps: int) -> torch.Tensor:
        weights = torch.tensor(self.linear, dtype=levels.dtype)  # [order + 1, horizon]
        weights = weights[:, torch.arange(steps).clamp(max=weights.shape[1] - 1)]
        past = levels[(time[..., None] + torch.arange(2 - len(weights), 1)).clamp(min=0)]  # [..., order, (B)]
        change = torch.einsum("...ob,os->...sb" if levels.dim() > 1 else "...o,os->...s", past, weights[:-1])
        last = levels[time][..., None] if levels.dim() == 1 else levels[time][..., None, :]
        return last + change + (weights[-1] if levels.dim() == 1 else weights[-1][:, None])

    @property
    def reach(self) -> int:
        """The number of rows before the present one that the base reads."""
        return {"season": self.season, "linear": len(self.linear) - 2}.get(self.difference, 0)

    def scale(self, name: str, history: Values) -> tuple[float, float]:
        """Mean and standard deviation of a series, from its history if training lacks it."""
        return self.scales.get(name) or _scale(history)

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


def learn(panel: Panel, spans: Sequence[Span], setting: ForecastSetting) -> tuple[ForecastEncoding, tuple[str, ...]]:
    """Learn an encoding from the training rows, with warnings about columns that are left out.

    Raises:
        InputError: the target is constant in training, changes by the same amount in every row, or has no season
            although the settings need one.
    """
    train = np.concatenate([np.arange(span.start, span.first) for span in spans])
    varies = np.ptp(panel.values[train], axis=0) > 0
    targets = tuple(dict.fromkeys(panel.targets))
    for target in targets:
        _check_varies(panel, spans, target)
    border = len(panel.columns) - panel.known
    used = np.flatnonzero(varies)
    others = panel.values[train][:, used[1:]]
    series = [panel.values[span.start : span.first, 0] for span in spans]
    scales = dict(zip(panel.names, map(_scale, series), strict=True))
    levels = [(values - mean) / sd for values, (mean, sd) in zip(series, scales.values(), strict=True)]
    period = _season(levels, setting, panel.clock)
    weights = _linear(panel, spans, scales, setting) if setting.difference == "linear" else ()
    change = _changes(levels, panel.target, setting, period, np.array(weights))
    encoding = ForecastEncoding(
        columns=tuple(panel.columns[k] for k in used if k < border),
        known=tuple(panel.columns[k] for k in used if k >= border),
        cycles=_cycles(panel, spans),
        step=panel.clock.step if panel.clock else "",
        mean=tuple(others.mean(0).tolist()),
        sd=tuple(others.std(0).tolist()),
        scales=scales,
        difference=setting.difference,
        centre=setting.centre,
        linear=weights,
        season=period,
        pace=float(np.concatenate([np.diff(part) for part in levels]).std()),
        change=change,
        naive={name: _naive(values, period) for name, values in zip(panel.names, series, strict=True)},
        dates=panel.clock.form if panel.clock else "",
        zone=panel.clock.zone if panel.clock else "",
        decimal=panel.decimal,
        targets=targets if len(targets) > 1 else (),
        categories=_categories(panel, [panel.columns[k] for k in used]),
    )
    constant = [name for name, varying in zip(panel.columns, varies, strict=True) if not varying]
    return encoding, tuple(f"column {name!r} was left out: it is constant in training" for name in constant)


def _categories(panel: Panel, used: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The texts of training, by column; those that only occur later, or in every row, are no inputs."""
    texts = {
        column: tuple(text for text in texts if not text or named(column, text) in used)
        for column, texts in panel.categories.items()
    }
    return {column: kept for column, kept in texts.items() if any(kept)}


def _check_varies(panel: Panel, spans: Sequence[Span], target: str) -> None:
    parts = [
        panel.values[span.start : span.first, 0]
        for span, own in zip(spans, panel.targets, strict=True)
        if own == target
    ]
    values = np.concatenate(parts)
    if np.ptp(values) == 0:
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {target!r} is {values[0]:g} in all {len(values)} training rows",
            fix="pass a longer series, or name another column",
        )


def _scale(values: Values) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) or 1.0


def _naive(values: Values, period: int) -> float:
    late = values[period:] if len(values) > period else values[1:]
    return float(np.abs(late - values[: len(late)]).mean())


def _season(levels: Sequence[Values], setting: ForecastSetting, clock: Clock | None) -> int:
    """Rows in a season: as set, as estimated, or as usual for the time step."""
    estimate = estimated_season(max(levels, key=len))[0]
    usual = clock.periods if clock else ()
    near = min(usual, key=lambda period: abs(period - estimate), default=0)
    estimate = near if abs(near - estimate) <= NEAR * estimate else estimate
    period = setting.season or estimate or next(iter(usual), 1)
    if setting.difference != "season":
        return period
    shortest = min(map(len, levels))
    if period == 1 or shortest < 2 * period + setting.horizon:
        what = "training shows no season" if period == 1 else f"a season has {period} rows, but training {shortest}"
        raise InputError(
            "SERIES_SEASON",
            f"difference='season' is not possible: {what}",
            fix="set season= to the number of rows, or choose another difference=",
        )
    return period


def _linear(
    panel: Panel, spans: Sequence[Span], scales: dict[str, tuple[float, float]], setting: ForecastSetting
) -> tuple[tuple[float, ...], ...]:
    """The linear autoregression of the training rows, its order chosen on validation."""
    pairs = list(zip(spans, scales.values(), strict=True))
    levels = [(panel.values[span.start : span.second, 0] - mean) / sd for span, (mean, sd) in pairs]
    own = [span.local for span in spans]
    steps = 1 if setting.strategy == "recursive" else setting.horizon
    weights = linear(levels, own, setting.horizon, steps=steps, most=setting.context).weights
    return tuple(tuple(float(f"{weight:.7g}") for weight in row) for row in weights)


def _changes(
    levels: Sequence[Values], target: str, setting: ForecastSetting, period: int, weights: Values
) -> tuple[float, ...]:
    """The standard deviation of the difference to forecast, for each step ahead."""
    scales = []
    fit = Linear(weights) if len(weights) else None
    for ahead in range(1, setting.horizon + 1):
        back = period * -(-ahead // period) if setting.difference == "season" else ahead
        parts = [part[back:] - part[:-back] if setting.difference != "none" else part[back:] for part in levels]
        scales.append(float(np.concatenate(parts).std()))
    if fit:
        misses = []
        for part in levels:
            origin = np.arange(min(fit.order - 1, len(part) - setting.horizon - 2), len(part) - setting.horizon)
            misses.append(ahead_of(part, origin, setting.horizon) - fit.forecast(part, origin, setting.horizon))
        scales = np.concatenate(misses).std(0).tolist()
    if max(scales) < STRAIGHT:
        raise InputError(
            "SERIES_LINE",
            f"the target {target!r} changes by the same amount in every training row: there is nothing to learn",
            fix="name another column",
        )
    return tuple(max(scale, LEAST * max(scales)) for scale in scales)


def _cycles(panel: Panel, spans: Sequence[Span]) -> tuple[str, ...]:
    """The calendar cycles that occur often enough in the training rows."""
    if panel.clock is None or not panel.clock.dated:
        return ()
    times = panel.clock.wall
    longest = max(spans, key=lambda span: span.first - span.start)
    own = times[longest.start : longest.first]
    step = np.median(np.diff(own.to_numpy()))
    return tuple(cycles(own, own[-1].to_numpy() - own[0].to_numpy(), step))
