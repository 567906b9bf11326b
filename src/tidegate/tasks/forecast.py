"""Forecasting: the next value of one column of a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate import setting as settings
from tidegate.data import Series, Source, read_series, shared_rows
from tidegate.errors import InputError
from tidegate.records import BaselineRecord, DataRecord
from tidegate.tasks.naive import naive_forecasts
from tidegate.tasks.task import Batch, Encoding, MakeLayer, Measure, Recipe, SequenceModel, Split, Task

ROWS = 40
SHARES = (0.70, 0.85)
WINDOW = 64
CONTEXT = 256
SEGMENT = 128  # the least number of scored steps worth a row of an evaluation batch
STRAIGHT = 1e-9  # standard deviations; smaller changes of slope are rounding


@dataclass(frozen=True)
class ForecastEncoding(Encoding[settings.Forecast]):
    """The columns that are read, the target first, and their scale in the training rows."""

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    change: float  # standard deviation of the target's change, in its own standard deviations

    def model(self, layer: MakeLayer, setting: settings.Forecast) -> SequenceModel:
        return SequenceModel(torch.nn.Identity(), len(self.columns) + 1, layer, setting.dropout, 1)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        lists = {name: tuple(data[name]) for name in ("columns", "mean", "sd")}
        return cls(**lists, change=data["change"])


class Forecast(Task[settings.Forecast, ForecastEncoding]):
    """One-step-ahead forecast of a column from all columns up to now.

    Equations:
        z = (x - mean) / sd, d[t] = (z[t] - z[t-1]) / c  (mean, sd, c = sd of z[t] - z[t-1]: training rows)
        the model reads z[0..t] of all columns and d[0..t] of the target, and answers o[t]
        forecast of z[t+1] = z[t] + c o[t];  error = |z[t+1] - z[t] - c o[t]|

    A model that answers 0 is the persistence forecast, so that a series which leaves the range of its
    training rows can still be followed. Rows are split in time, 70 / 15 / 15. Validation and test run over
    up to 256 rows of true history first and score each row of their split once. Training cuts windows of up
    to 64 rows at an offset that ``order`` draws anew each epoch.

    Args:
        source: a CSV file as ``data.read_series`` reads it, oldest row first.
        target: the column to forecast.

    Shapes:
        inputs: [T, B, columns + 1] float; targets [T, B] float, the change of the target in units of c.

    Raises:
        InputError: the file, the column or its values cannot be used.
    """

    name = "forecast"
    metric = "MAE/sd"
    unit = "standard deviations of the training target"
    items = "rows"
    recipe = Recipe(parameters=10_000)

    setting_type = settings.Forecast
    encoding_type = ForecastEncoding

    def __init__(
        self,
        source: Source,
        setting: settings.Forecast | None = None,
        encoding: ForecastEncoding | None = None,
    ) -> None:
        self.setting = setting or settings.Forecast()
        target = self.setting.target
        series = read_series(source, target, ROWS, "15 % of the rows are kept for validation and 15 % for the test")
        rows = len(series.values)
        first, second = (int(share * rows) for share in SHARES)
        columns, values, warnings = _varying(series, first)
        mean, sd = values[:first].mean(0), values[:first].std(0)
        levels = (values - mean) / sd
        change = _change_scale(levels[:first, 0], series.target)
        self.encoding = encoding or ForecastEncoding(tuple(columns), tuple(mean), tuple(sd), change)
        self.source, self.target = source, series.target
        self.bounds: dict[Split, tuple[int, int]] = {
            "train": (1, first),
            "valid": (first, second),
            "test": (second, rows),
        }
        self.levels = levels[:, 0]
        self.scale = self.encoding.change
        changes = np.diff(self.levels) / self.scale
        self.inputs = torch.tensor(np.column_stack([levels, [0.0, *changes]])[:-1], dtype=torch.float32)
        self.targets = torch.tensor(changes, dtype=torch.float32)
        self.data = DataRecord(
            name=source.title,
            hash=source.hash,
            description=source.description or f"{self.target} from {', '.join(columns)}; {rows:,} rows",
            licence=source.licence,
            split=f"in time: train rows 1 to {first}, valid to {second}, test to {rows}",
            warnings=series.warnings + warnings + shared_rows(self.levels, first),
        )

    def batches(self, split: Split, order: torch.Generator | None = None) -> Iterator[Batch]:
        """With ``order``, training windows; without, the whole split with its history."""
        return self._windows(order) if order is not None and split == "train" else self._segments(split)

    def measure(self, outputs: torch.Tensor, batch: Batch) -> Measure:
        scored = batch.scored()
        loss = (outputs[..., 0] - batch.targets)[scored].abs().sum() * self.scale
        return Measure(loss, loss.item(), int(scored.sum()))

    def baselines(self) -> list[BaselineRecord]:
        train, valid = self.bounds["train"][1], self.bounds["valid"][1]
        return naive_forecasts(self.levels, train, valid)

    def _windows(self, order: torch.Generator) -> Iterator[Batch]:
        steps = self.bounds["train"][1] - 1
        window = min(WINDOW, steps // 2)
        stride = max(1, min(window // 2, (steps - window) // 16))  # short series: at least some steps an epoch
        offset = int(torch.randint(stride, (1,), generator=order))
        starts = torch.arange(offset, steps - window + 1, stride)
        starts = starts[torch.randperm(len(starts), generator=order)]
        size = min(32, max(4, len(starts) // 8))
        for at in range(0, len(starts), size):
            time = starts[at : at + size] + torch.arange(window)[:, None]  # [T, B]
            yield Batch(self.inputs[time], self.targets[time])

    def _segments(self, split: Split) -> Iterator[Batch]:
        # Long splits are cut into parallel segments, each after its own true history: a single row of
        # 15,000 steps would take minutes. targets[i] is the change into row i + 1.
        first, last = (row - 1 for row in self.bounds[split])
        context = min(first, CONTEXT)
        length = math.ceil((last - first) / min(64, max(1, (last - first) // SEGMENT)))
        starts = torch.arange(first, last, length)
        time = starts - context + torch.arange(context + length)[:, None]  # [T, B]
        lengths = (last - starts).clamp(max=length) + context
        time = time.clamp(max=last - 1)
        yield Batch(self.inputs[time], self.targets[time], lengths, context=context)


def _varying(series: Series, first: int) -> tuple[list[str], NDArray[np.float64], tuple[str, ...]]:
    """The columns that vary in the training rows, and warnings about the others."""
    varies = np.ptp(series.values[:first], axis=0) > 0
    if not varies[0]:
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {series.target!r} is {series.values[0, 0]:g} in all of the first {first} rows, "
            "which are for training",
            fix="pass a longer series, or name another column",
        )
    named = list(zip(series.columns, varies, strict=True))
    warnings = tuple(f"column {name!r} was left out: it is constant in training" for name, keep in named if not keep)
    return [name for name, keep in named if keep], series.values[:, varies], warnings


def _change_scale(levels: NDArray[np.float64], target: str) -> float:
    scale = float(np.diff(levels).std())
    if scale < STRAIGHT:
        raise InputError(
            "SERIES_LINE",
            f"the target {target!r} changes by the same amount in every training row: there is nothing to learn",
            fix="name another column",
        )
    return scale
