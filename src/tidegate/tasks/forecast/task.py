"""Forecasting of series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch

from tidegate.data import Panel, Source, shared_rows
from tidegate.language import joined, say
from tidegate.phase import counted, phase
from tidegate.records import BaselineRecord, DataRecord, ScoreRecord
from tidegate.tasks.forecast.apart import USED, by_owner, encoding_apart, fitted_apart, told_apart
from tidegate.tasks.forecast.baseline import Naive, baselines
from tidegate.tasks.forecast.blend import blend_of, correct, remarks
from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Values, make_grid
from tidegate.tasks.forecast.learn import Choice, choices, first_choice, learn, with_choice
from tidegate.tasks.forecast.model import DirectModel, RecursiveModel, Window, pinball, trained_levels
from tidegate.tasks.forecast.moved import moved, pliable
from tidegate.tasks.forecast.origin import CHECKED, forecast, histories, segments, thinned
from tidegate.tasks.forecast.ridge import ahead_of
from tidegate.tasks.forecast.score import Forecasts, Rows, doubt, point_scores, quantile_scores, titled
from tidegate.tasks.forecast.setting import ForecastSetting, forecast_levels
from tidegate.tasks.forecast.source import reader, rows_of
from tidegate.tasks.forecast.split import all_test, in_time, scored, told
from tidegate.tasks.forecast.spread import following, with_spread
from tidegate.tasks.forecast.training import one_window, windows
from tidegate.train.batch import Batch, Measure
from tidegate.train.fitted import ROW, Fitted, is_private
from tidegate.train.protected import Protected, check_unit
from tidegate.train.sample import Sample, deciding
from tidegate.train.task import Split, Task

DRAWN = 100_000  # most forecast steps, over all origins, whose quantiles are scored by sample paths
NAMED = 12  # most targets that are listed


class ForecastTask(Task[ForecastSetting, ForecastEncoding]):
    """Forecasts of a column, one or more rows ahead, from all columns up to now.

    Equations:
        z = (x - mean) / sd of the series, d[t] = (z[t] - z[t-1]) / c  (mean, sd, c = sd of the change: training rows)
        the model reads z[0..t] of all columns, d[0..t] of the target and what is known of row t + 1; it answers o[t, k]
        forecast of z[t+k] = b[t, k] + c[k] o[t, k], c[k] = sd of z[t+k] - b[t, k];  error = |z[t+k] - forecast|
        b[t, k] = z[t], or the value a season before t + k, or a linear autoregression, or 0

    A model that answers 0 gives the persistence forecast (or the seasonal naive one), so it can follow a series that
    leaves the range of its training rows. Rows are split in time, 70 / 15 / 15. Validation and test read
    up to 256 rows of true history, then forecast from each row whose targets all lie in their split. Training cuts
    windows of up to 64 rows at an offset that ``order`` draws in each epoch.

    Args:
        source: a CSV or Parquet file as ``data.read_panel`` reads it, oldest row first.
        setting: the column to forecast, how far, and how.

    Shapes:
        inputs: [T, B, features] float; targets [T, B, steps] float, the target's change in units of c.

    Raises:
        InputError: the file, a column or its values cannot be used.
    """

    name = "forecast"
    metric, unit = say("MAE/sd"), say("standard deviations of the training target")
    trials = 2
    setting_type = ForecastSetting
    encoding_type = ForecastEncoding
    reader = staticmethod(reader)
    accepts = tuple(one.name for one in USED)

    def __init__(
        self,
        source: Source,
        setting: ForecastSetting | None = None,
        encoding: ForecastEncoding | None = None,
        given: ForecastEncoding | None = None,
    ) -> None:
        self.source, self.setting, self.given = source, setting or ForecastSetting(), given
        panel = rows_of(source, self.setting, encoding, given)
        phase("preparing")
        self.fresh, self.blends = encoding is None, False
        self.panel, self.target, self.horizon = panel, panel.target, self.setting.horizon
        self.begun = encoding.lately if encoding else {}  # the spread of intervals before the first row of the test
        self.learning: Sequence[int] = range(len(panel.names))  # the series whose windows are learnt from
        self.warnings: tuple[str, ...] = ()
        if encoding is None and is_private(self.setting):
            self.spans, self.learning = by_owner(panel, self.setting)
            encoding = given or encoding_apart(panel, self.spans, self.learning, self.setting)
        elif encoding is None:
            self.spans = in_time(panel, self.setting)
            self.learnt, self.warnings = learn(panel, self.spans, self.setting)
            encoding = self._chosen(first_choice(self.setting))
        else:
            self.spans = all_test(panel, self.setting)
        self._take(encoding)

    def _chosen(self, choice: Choice) -> ForecastEncoding:
        return with_choice(self.panel, self.spans, self.setting, self.learnt, choice)

    def _take(self, encoding: ForecastEncoding) -> None:
        """Become the task of a model with this encoding."""
        self.encoding, self.strategy = encoding, encoding.strategy or self.setting.strategy
        self.levels = trained_levels(replace(self.setting, strategy=self.strategy))
        self.grid = make_grid(self.panel, self.encoding, self.spans, self.horizon)
        self.change = torch.tensor(self.encoding.change, dtype=torch.float32)
        self.data = DataRecord(
            name=self.source.title,
            hash=self.source.hash,
            description=self.source.description or self._described(self.panel),
            licence=self.source.licence,
            split=joined([self._told(), scored(self.stride)], ", "),
            warnings=self.panel.warnings + self.warnings + self._left_out() + self._copies() + self._exact(),
        )

    def _told(self) -> str:
        if self.fresh and is_private(self.setting):
            return told_apart(self.spans, self.setting)
        return told(self.spans, fitted=self.fresh)

    def candidates(self) -> list[Self]:
        if not self.fresh or is_private(self.setting):
            return [self]
        made = []
        for choice in choices(self.learnt, self.setting):
            other = self.read_as(self._chosen(choice))
            other.blends = True
            made.append(other)
        return made

    def read_as(self, encoding: ForecastEncoding) -> Self:
        other = super().read_as(encoding)
        other._take(encoding)  # noqa: SLF001  of the same class
        return other

    @property
    def title(self) -> str:
        return f"{self.strategy}, difference {self.encoding.difference}"

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Window]:
        """Training windows that ``order`` draws; without it, the whole split with its history."""
        if order is not None and split == "train":
            return windows(self.grid, self.learning, self.setting, self.reach, order)
        if self.strategy == "direct" or self.horizon == 1:
            return segments(self.grid, self._bounds(split), self.setting.context, self.horizon)
        each = {"valid": max(1, CHECKED // len(self.grid.spans))}
        origins = [thinned(first, last, each.get(split, last - first)) for first, last in self._bounds(split)]
        return histories(self.grid, origins, self.setting.context, self.horizon)

    def losses(self, outputs: torch.Tensor, batch: Batch) -> torch.Tensor:
        assert isinstance(batch, Window)
        outputs = outputs if batch.moved is None else outputs + batch.moved[:, :, : outputs.shape[2], None]
        miss = (batch.targets[..., None] - outputs) * self.change[: outputs.shape[2], None]  # [T, B, steps, Q]
        levels = self.levels if outputs.shape[-1] == len(self.levels) else (0.5,)
        return pinball(miss, levels).mean((2, 3)).masked_fill(~batch.scored(), 0).sum(0)

    def protected(self, unit: str = ROW) -> Protected:
        """A window of each series of a unit, at a place that is drawn whenever the unit takes part in a step."""
        check_unit(unit, self.setting)
        owners = [self.panel.owners[series] for series in self.learning]

        def make(rows: list[int]) -> Window:
            return one_window(self.grid, [self.learning[row] for row in rows], self.setting, self.reach)

        what = f"all series that share a value of {unit!r}, of each of which a step sees one window"
        return Protected.of(owners, len(owners), make, what)

    @property
    def reach(self) -> int:
        """The rows ahead that each row of a training window has as targets."""
        return 1 if self.strategy == "recursive" else self.horizon

    @property
    def learns(self) -> tuple[Fitted, ...]:
        return fitted_apart(self.encoding, self.setting)

    @property
    def off(self) -> tuple[str, ...]:
        left = [one.what for one in USED if self.given is None and one not in self.learns]
        ridge = "the ridge regression, its blend with the layers, and corrections of quantiles"
        return (ridge, "the scale of each training series, and its last rows", *left, *super().off)

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        assert isinstance(batch, Window)
        if batch.moved is not None:
            outputs = outputs + batch.moved[-len(outputs) :, :, : outputs.shape[2], None]
        scored = batch.scored()[-len(outputs) :]
        levels = self.levels if outputs.shape[-1] == len(self.levels) else (0.5,)
        miss = (batch.targets[-len(outputs) :, ..., None] - outputs)[scored]  # [N, steps, Q]
        miss = miss * self.change[: outputs.shape[2], None]
        loss = pinball(miss, levels).mean((1, 2)).sum()
        middle = levels.index(0.5) if 0.5 in levels else len(levels) // 2
        error = self._missed(outputs[..., middle], batch, scored) if self.encoding.logs else miss[..., middle].abs()
        return Measure(loss, error.mean(1).sum().item(), int(scored.sum()))

    def pliable(self, batch: Any) -> torch.Tensor:
        return pliable(self.grid, batch)

    def changed(self, batch: Any, change: torch.Tensor) -> Window:
        return moved(self.grid, batch, change)

    def _missed(self, outputs: torch.Tensor, batch: Window, scored: torch.Tensor) -> torch.Tensor:
        """[N, steps] absolute errors in standard deviations of the target, where its logarithm is forecast."""
        rows = (torch.arange(len(batch.inputs))[:, None] + batch.first)[-len(outputs) :][scored]
        series = batch.series.expand(len(outputs), -1)[scored].numpy()
        found, truth = (
            self.grid.in_units(answers[scored].detach()[..., None], torch.from_numpy(series), rows)[..., 0]
            for answers in (outputs, batch.targets[-len(outputs) :])
        )
        return torch.from_numpy(np.abs(found - truth) / self.grid.scales[series, 1][:, None])

    def baselines(self) -> list[BaselineRecord]:
        """Scores of the baselines by the metric, in standard deviations of each series."""
        origins = [np.arange(*bounds) for bounds in self._bounds("test")]
        naives = counted("baselines", self.naive())
        return [BaselineRecord(naive.name, self._error(naive, origins), naive.how) for naive in naives]

    def judged(self, model: torch.nn.Module) -> float:
        assert isinstance(model, (DirectModel, RecursiveModel))
        return -blend_of(model, self.grid, self.batches("valid")).gain

    def settle(self, model: torch.nn.Module) -> torch.nn.Module:
        """The model with the share of its layers and corrections of its quantiles, fitted in validation.

        Only one of ``candidates`` is blended.
        """
        assert isinstance(model, (DirectModel, RecursiveModel))
        if not self.blends:
            return model
        self.blend = blend_of(model, self.grid, self.batches("valid"))  # the share becomes 1
        if self.setting.adversarial is None:  # a plain forecast does not bear an attack
            model.share.fill_(self.blend.share)
        if self.setting.quantiles:
            every = math.ceil(sum(last - first for first, last in self._bounds("valid")) / CHECKED)
            correct(model, self.grid, self.forecasts(model, "valid", max(1, every)))
            validated = self.forecasts(model, "valid", max(1, every))
            self.encoding = with_spread(model, self.grid, validated, self._bounds("test"), self.setting)
            self.grid = replace(self.grid, encoding=self.encoding)
        return model

    def remarks(self, model: torch.nn.Module) -> tuple[str, ...]:
        if is_private(self.setting):
            return super().remarks(model)
        return remarks(self.blend, self.encoding, self.setting)

    def scores(self, model: torch.nn.Module, metric: float) -> list[ScoreRecord]:
        """Errors over the origins of the test split, and CRPS and coverage of quantiles.

        The metric covers all origins; the other scores use every ``stride``-th one.
        """
        lines = {line.name: line.score for line in self.baselines()}
        forecasts = self.forecasts(model, "test", self.stride)
        rivals = {naive.name: self.naive_forecasts(naive, forecasts) for naive in self.naive()}
        metric_record = ScoreRecord(self.metric, metric, self.unit, "lower", lines)
        theirs = {name: self._sample(rival) for name, rival in rivals.items()}
        records = [deciding(metric_record, self._sample(forecasts), theirs, "stretches of time")]
        own = self.score_values(forecasts)
        others = {
            name: self.score_values(rival)
            for name, rival in counted("scoring the baselines", rivals.items(), len(rivals))
        }
        for name, value in own.items():
            baselines = {rival: values[name] for rival, values in others.items() if name in values}
            sure = doubt(self.truth(forecasts), forecasts) if name == "coverage" else ""
            title, score, unit, better = titled(name, value, forecast_levels(self.setting))
            records.append(ScoreRecord(title, score, unit + sure, better, baselines))
        return records

    def _sample(self, forecasts: Forecasts) -> Sample:
        """Errors by the metric, over stretches of as many rows as a forecast has, within which errors are alike."""
        scale = self.grid.scales[forecasts.series, 1]
        errors = np.abs(self.truth(forecasts) - forecasts.point).mean(1) / scale
        rows = [int((forecasts.series == series).sum()) for series in range(len(self.grid.names))]
        step = max(1, self.horizon // self.stride)
        lengths = [len(part) for count in rows for part in np.array_split(np.arange(count), max(1, count // step))]
        return Sample.grouped(errors, lengths)

    @property
    def stride(self) -> int:
        """Rows from one scored origin to the next: 1, unless sample paths would take too long."""
        paths = self.strategy == "recursive" and bool(self.setting.quantiles)
        origins = sum(last - first for first, last in self._bounds("test"))
        return math.ceil(origins * self.horizon / DRAWN) if paths else 1

    def score_values(self, forecasts: Forecasts) -> dict[str, float]:
        """All scores of forecasts, by name; in standard deviations of each series, if several columns are forecast."""
        truth = self.truth(forecasts)
        naive = np.array([self._mase_scale(series) for series in range(len(self.grid.names))])
        sd, mixed = self.grid.scales[forecasts.series, 1], bool(self.encoding.targets)
        scores = point_scores(forecasts.point, truth, naive[forecasts.series], sd, mixed=mixed)
        if len(forecasts.levels) == 1:
            return scores
        if not mixed:
            return scores | quantile_scores(forecasts.quantiles, truth, forecasts.levels)
        values = quantile_scores(forecasts.quantiles / sd[:, None, None], truth / sd[:, None], forecasts.levels)
        return scores | {"CRPS/sd": values.pop("CRPS"), **values}

    def split_in_time(self) -> Self:
        """The same rows, split as in training; for the training data of a model that was loaded."""
        self.spans, self.begun = in_time(self.panel, self.setting), {}
        self.grid = make_grid(self.panel, self.encoding, self.spans, self.horizon)
        return self

    def truth(self, forecasts: Forecasts) -> Values:
        """[N, steps] true values."""
        return ahead_of(self.grid.truth, forecasts.origin, forecasts.quantiles.shape[1])

    def forecasts(self, model: torch.nn.Module, split: Split, stride: int = 1) -> Forecasts:
        """Forecasts with quantiles from every ``stride``-th row of a split."""
        assert isinstance(model, (DirectModel, RecursiveModel))
        context, bounds = self.setting.context, self._bounds(split)
        if isinstance(model, RecursiveModel) or stride > 1:
            origins = [np.arange(first, last, stride) for first, last in bounds]
            batches = histories(self.grid, origins, context, self.horizon)
        else:
            batches = segments(self.grid, bounds, context, self.horizon)
        made = forecast(model, self.grid, batches, self.horizon, self.setting)
        return following(self.grid, made, self.begun) if split == "test" else made

    def naive(self) -> list[Naive]:
        """The baselines."""
        return baselines(self.grid)

    def naive_forecasts(self, naive: Naive, like: Forecasts) -> Forecasts:
        """Forecasts of a baseline from the same rows; its quantiles are those of its errors in training."""
        points, misses = [], []
        for place, span in enumerate(self.grid.spans):
            origin = like.origin[like.series == place] - span.start
            points.append(naive.forecast(place, origin, self.horizon))
            last = span.first - self.horizon
            first = span.start + self.encoding.season  # where training has not a season, from its first row on
            known = torch.arange(first if first < last else span.start, last)
            found = naive.forecast(place, known.numpy() - span.start, self.horizon)
            misses.append(self.grid.own(place, known, self.horizon) - found)
        mean, sd = self.grid.scales[like.series].T[..., None, None]
        point = np.concatenate(points)[..., None]
        if not self.fresh or len(like.levels) == 1 or is_private(self.setting):
            return Forecasts(like.series, like.origin, mean + sd * point, (0.5,))
        spread = np.quantile(np.concatenate(misses), like.levels, axis=0).T  # [steps, quantiles]
        spread[:, like.levels.index(0.5)] = 0  # the point forecast is the same with and without quantiles
        return Forecasts(like.series, like.origin, mean + sd * np.sort(point + spread), like.levels)

    def _bounds(self, split: Split) -> list[tuple[int, int]]:
        """For each series, the first row whose forecast lies in the split, and one past the last."""
        bounds = [span.bounds(split) for span in self.grid.spans]
        return [(first - 1, last - self.horizon) for first, last in bounds]

    def _error(self, naive: Naive, origins: Sequence[Rows]) -> float:
        misses = [
            np.abs(
                self.grid.own(place, torch.from_numpy(rows), self.horizon)
                - naive.forecast(place, rows - self.grid.spans[place].start, self.horizon)
            )
            for place, rows in enumerate(origins)
        ]
        return float(np.concatenate(misses).mean())

    def _mase_scale(self, series: int) -> float:
        """The error that MASE divides by; for a series that training lacks, the error in its history."""
        name, span = self.grid.names[series], self.grid.spans[series]
        if name in self.encoding.naive:
            return self.encoding.naive[name]
        past, period = self.grid.truth[span.start : span.second], self.encoding.season
        return float(np.abs(past[period:] - past[:-period]).mean()) if len(past) > period else 0.0

    def _described(self, panel: Panel) -> str:
        targets, others = self.encoding.targets, self.encoding.columns[1:] + self.encoding.known
        what = say("{target} from {columns}", target=self.target, columns=", ".join([self.target, *others]))
        if targets:
            named = self.target if len(targets) <= NAMED else say("{count} columns", count=len(targets))
            what = say("{targets}, each from {columns}", targets=named, columns=joined([say("itself"), *others], ", "))
        rows = say("{count:,} rows", count=len(panel.values))
        series = say("{count} series", count=len(panel.names)) if len(panel.names) > 1 else ""
        return joined([what, joined([series, rows], ", ")], "; ")

    def _left_out(self) -> tuple[str, ...]:
        present = len(self.panel.columns) - self.panel.known  # the target, and what is known up to the present
        if not self.fresh or self.strategy == "direct" or self.horizon == 1 or present == 1:
            return ()
        return (
            "recursive forecasts read only the target and the columns known ahead; strategy='direct' reads all columns",
        )

    def _exact(self) -> tuple[str, ...]:
        if any(self._mase_scale(series) > 0 for series in range(len(self.grid.names))):
            return ()
        what = "each season repeats the one before" if self.encoding.season > 1 else "all rows are equal"
        return (f"there is no MASE, whose unit is the error of the seasonal naive forecast: {what} exactly",)

    def _copies(self) -> tuple[str, ...]:
        if not self.fresh or is_private(self.setting):
            return ()
        copies = [
            shared_rows(self.grid.truth[span.start : span.end], span.first - span.start) for span in self.grid.spans
        ]
        return tuple(warning for warnings in copies for warning in warnings)[:3]
