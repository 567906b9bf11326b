"""What drives a forecast: contributions of lags and columns, over the layers and the plain forecast beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from tidegate.explain.attribution import Attribution, attribute
from tidegate.explain.kind.base import Reader
from tidegate.explain.kind.forecast import ForecastKind, Smooth
from tidegate.explain.record import finite
from tidegate.language import say, without_first
from tidegate.records import AttributionRecord, ShareRecord
from tidegate.tasks.forecast.model import RecursiveModel, Window, per_step

EFFECT = say("linear effect")
Cells = dict[tuple[int, str], torch.Tensor]  # by lag and feature, [B]


def drivers(kind: ForecastKind, batch: Window, horizon: int) -> tuple[tuple[AttributionRecord, ...], str]:
    """Integrated gradients of the forecasts of one horizon, in the target's unit: averaged, and of the last window.

    The baseline is the mean of the training rows in every column. The forecast there and all contributions sum to the
    forecast: those of the layers, by lag and column, those of the plain forecast, by lag, and those of the linear
    effect of what is known ahead. A window whose contributions do not sum well enough has no part in the mean.

    Args:
        kind: of the model.
        batch: windows that end at the rows from which to forecast.
        horizon: the number of rows ahead.

    Returns:
        The records, and which windows have no attribution and why; empty if all have.
    """
    reader = ForecastReader(kind, batch, horizon)
    found = attribute(reader, reader.given(), lambda forecast: forecast)
    one = say("{horizon} row ahead", horizon=horizon)
    ahead, count = one if horizon == 1 else say("{horizon} rows ahead", horizon=horizon), len(found.answer)
    kept = torch.tensor([not values.isnan().all() for values in found.by_lag]).nonzero()[:, 0]
    if not len(kept):
        return (_record(kind, found, say("forecast {ahead}", ahead=ahead), torch.arange(count)),), ""
    share = say("{missed} of {count}", missed=count - len(kept), count=count)
    reason = without_first(found.abstained, share)
    lost = say("attribution of {share} windows: {reason}", share=share, reason=reason) if len(kept) < count else ""
    origin = kind.labels(batch, int(kept[-1]))[-1]
    what = {
        say("mean of {count} forecasts {ahead}", count=len(kept), ahead=ahead): kept,
        say("forecast {ahead} of {origin}", ahead=ahead, origin=origin): kept[-1:],
    }
    sums = {
        say("layers"): _layers(kind, found),
        kind.anchor: _anchor(kind, found),
        EFFECT: _effect(kind, found, horizon),
    }
    clean = replace(found, abstained="")
    return tuple(_summed(_record(kind, clean, text, own), sums, own) for text, own in what.items()), lost


def _record(kind: ForecastKind, found: Attribution, target: str, rows: torch.Tensor) -> AttributionRecord:
    return AttributionRecord(
        target=target,
        unit=say("units of {name}", name=kind.name),
        baseline=say("the mean of the training rows in every column"),
        start=float(found.start[rows].mean()),
        answer=float(found.answer[rows].mean()),
        completeness_error=finite(found.error[rows].max()),
        points=found.points,
        abstained=found.abstained,
    )


def _summed(record: AttributionRecord, sums: Mapping[str, Cells], rows: torch.Tensor) -> AttributionRecord:
    """The record with the contributions of these windows."""
    cells = {place: value[rows] for own in sums.values() for place, value in own.items()}
    lags, features = sorted({lag for lag, _ in cells}), list(dict.fromkeys(name for _, name in cells))
    nothing = torch.zeros(1)
    values = [[cells.get((lag, name), nothing) for name in features] for lag in lags]
    parts = {name: torch.stack([*own.values()])[:, rows].sum(0).mean() for name, own in sums.items() if own}
    return replace(
        record,
        features=tuple(features),
        lags=tuple(lags),
        values=tuple(tuple(float(value.mean()) for value in row) for row in values),
        sizes=tuple(tuple(float(value.abs().mean()) for value in row) for row in values),
        parts=tuple(ShareRecord(name, float(part)) for name, part in parts.items()),
    )


def _layers(kind: ForecastKind, found: Attribution) -> Cells:
    """What the layers contribute. Level and change of the target are one feature; columns known ahead have lags < 0."""
    cells: Cells = defaultdict(lambda: torch.zeros(len(found.answer), dtype=torch.float64))
    inputs, ahead = found.values["x0"], found.values["x1"]
    names = [kind.name if name == say("change of {name}", name=kind.name) else name for name in kind.features(None)]
    for row, values in enumerate(inputs):
        for name, value in zip(names, values.T, strict=True):
            cells[len(inputs) - 1 - row, name] += value
    for row in range(ahead.shape[1]):
        for name, value in zip(kind.known, ahead[:, row].T, strict=True):
            if row >= len(inputs) or value.any():
                cells[len(inputs) - 1 - row, name] += value
    return dict(cells)


def _anchor(kind: ForecastKind, found: Attribution) -> Cells:
    """What the levels contribute that are read beside the layers."""
    levels = found.values["x2"]
    name = say("{name}, by the {anchor}", name=kind.name, anchor=kind.anchor)
    return {(levels.shape[1] - 1 - row, name): levels[:, row] for row in range(levels.shape[1])} if kind.anchor else {}


def _effect(kind: ForecastKind, found: Attribution, horizon: int) -> Cells:
    """What the linear effect contributes that was taken out of the target."""
    if "x3" not in found.values:
        return {}
    rows = zip(kind.known, found.values["x3"].T, strict=True)
    return {(-horizon, say("{name}, by its {effect}", name=name, effect=EFFECT)): value for name, value in rows}


class ForecastReader(Reader):
    """A forecaster as a function of all it reads.

    These are the inputs of the layers, the columns known ahead, the levels of the target that plain forecasts read, and
    what is known of the row that is forecast, if its linear effect was taken out of the target.

    Args:
        kind: of the model.
        batch: the windows.
        horizon: the number of rows ahead.
    """

    def __init__(self, kind: ForecastKind, batch: Window, horizon: int) -> None:
        super().__init__(kind.whole, batch, kind.ask)
        encoding, grid = kind.task.encoding, kind.task.grid
        self.horizon, self.rows, self.change = horizon, max(len(batch.levels), encoding.early + 1), encoding.change
        self.base = Smooth(encoding.base, encoding.early)
        self.plain = Smooth(encoding.plainly, encoding.early) if encoding.plain else None
        self.logs = grid.logs is not None
        scales: np.ndarray = grid.scales if grid.logs is None else grid.logs
        self.mean, self.sd = torch.from_numpy(scales[batch.series.numpy()]).T
        self.effect = torch.tensor(encoding.effect, dtype=torch.float64) if encoding.effect else None
        origin = batch.first + len(batch.levels) - 1
        self.levels = grid.levels[origin - self.rows + 1 + torch.arange(self.rows)[:, None]]  # [R, B]

    def given(self) -> tuple[torch.Tensor, ...]:
        """Inputs [T, B, features]; what is known ahead, [B, T + steps, known]; levels, [B, rows]; and [B, known]."""
        ahead = self.batch.ahead
        effect = () if self.effect is None else (ahead[len(self.batch.inputs) - 1 + self.horizon],)
        return self.batch.inputs, ahead.transpose(0, 1), self.levels.T, *effect

    def forward(  # type: ignore[override]
        self, inputs: torch.Tensor, ahead: torch.Tensor, levels: torch.Tensor, known: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B] the forecasts in the unit of the target."""
        model, levels, ahead = vars(self)["inner"], levels.T, ahead.transpose(0, 1)
        steps = self.horizon if isinstance(model, RecursiveModel) else self.batch.targets.shape[2]
        now, change = torch.tensor(self.rows - 1), per_step(self.change, steps)
        base, plain = self.base(levels, now, steps), None  # [steps, B]
        if self.plain is not None:
            plain = ((self.plain(levels, now, steps) - base).T / change)[None]
        own = {"inputs": inputs, "ahead": ahead, "levels": levels[-len(inputs) :], "plain": plain}
        outputs = self.ask(model, replace(self.batch, **own, targets=self.batch.targets[..., :steps]))
        answer = outputs[-1, :, self.horizon - 1, outputs.shape[-1] // 2]
        level = base[self.horizon - 1] + change[self.horizon - 1] * answer
        if known is not None and self.effect is not None:
            level = level + known @ self.effect
        value: torch.Tensor = self.mean + self.sd * level
        return value.exp() if self.logs else value
