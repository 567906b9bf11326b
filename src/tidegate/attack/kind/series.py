"""Classes of series: changes of the values that users pass, read by the model's own encoding."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tidegate.adversary import Ball, free
from tidegate.attack.kind.base import Rows, padded_otherwise
from tidegate.attack.kind.limit import Limits
from tidegate.attack.kind.module import Classes
from tidegate.attack.kind.votes import SlopedVotes
from tidegate.data.labelled import Gapped
from tidegate.errors import InputError
from tidegate.records import AttackedRecord, TraceLine
from tidegate.tasks.classification.ballot import SeriesVotes
from tidegate.tasks.classification.batch import Sequences
from tidegate.tasks.classification.scale import Observed, Scale

CHANNELS = 3  # of an example that are drawn


class SeriesKind(Classes):
    """A classifier of series.

    What changes are values that were observed, in standard deviations of training: neither gaps nor times, nor padding.
    The encoding is the model's own, with a gradient: gaps are filled from changed values, and the last frame is filled
    with the last value.

    Args:
        estimator: a ``SequenceClassifier``.
        task: whose test part is attacked.
        rows: [B] the places of the series in it.
        limits: what may change.
    """

    unit = "standard deviations of training"

    def __init__(self, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> None:
        self.estimator, self.places = estimator, list(rows)
        self.reading: Scale = estimator.encoding_.reading
        self.model = with_slopes(estimator.model_)
        part = task.parts["test"]
        self.items = [part.items[row] for row in rows]
        self.count = len(self.items)
        self.targets = torch.from_numpy(np.asarray(part.classes)[list(rows)].astype(np.int64))
        self.lengths = torch.tensor([len(item) for item in self.items])
        self.x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(self._observed(item)) for item in self.items])
        columns = estimator.encoding_.columns
        self.channels = list(columns.names) if columns else [f"channel {k + 1}" for k in range(self.x.shape[2])]
        chosen = limits.of(self.channels)
        mask = free(self.lengths, self.x.shape, steps=limits.steps, features=chosen)
        self.ball = Ball(limits.norm, 0.0, mask & self._seen)
        self.classes, self.losses = len(estimator.encoding_.classes), self._losses()

    @classmethod
    def total(cls, task: Any) -> int:
        return len(task.parts["test"].classes)

    @classmethod
    def of(cls, estimator: Any, task: Any, rows: Sequence[int], limits: Limits) -> SeriesKind:
        if limits.direction != "error" or limits.tolerance is not None:
            raise InputError(
                "ATTACK_DIRECTION",
                "target_direction and tolerance are for forecasts; a class is either right or wrong",
                fix="leave them out",
            )
        return cls(estimator, task, rows, limits)

    def outputs(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Logits [K, classes]."""
        return self._asked(self._encoded(x, rows), rows)

    def stuffed(self, rows: Rows) -> torch.Tensor | None:
        batch = self._encoded(self.x[:, rows], rows)
        inputs = padded_otherwise(batch)
        if inputs is None:
            return None
        with torch.no_grad():
            return self._asked(Sequences(inputs, batch.targets, batch.lengths), rows)

    def verified(self, rows: Rows, change: torch.Tensor) -> int:
        moved = self.ball.rows(rows).moved(self.x[:, rows], change)
        items = [self.item(int(row), moved[:, k]) for k, row in enumerate(rows)]
        if any(isinstance(item, Gapped) for item in items):
            items = [item.values if isinstance(item, Gapped) and not item.timed else item for item in items]
        labels = np.array(self.estimator.encoding_.classes)[self.targets[rows].numpy()]
        return int((self.estimator.predict(items) != labels).sum())

    def item(self, row: int, values: torch.Tensor) -> Any:
        """A changed series as users would pass it: values [T, C] in their unit, NaN in gaps."""
        sd, mean = (torch.tensor(part, dtype=torch.float64) for part in (self.reading.sd, self.reading.mean))
        raw = (values[: self.lengths[row]].double() * sd + mean).numpy()
        raw[~self._seen[: self.lengths[row], row].numpy()] = np.nan
        item = self.items[row]
        return Gapped(raw, item.times) if isinstance(item, Gapped) else raw

    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        rows = torch.tensor([row])
        moved = self.ball.rows(rows).moved(self.x[:, rows], change)
        sizes = change[:, 0].abs().amax(0)
        largest = sizes.argsort(descending=True, stable=True)[:CHANNELS].sort().values.tolist()
        before, after = (self._said(values, rows) for values in (self.x[:, rows], moved))
        ours, theirs = (_plain(self.item(row, values[:, 0])) for values in (self.x[:, rows], moved))
        lines = tuple(TraceLine(self.channels[c], _line(ours[:, c]), _line(theirs[:, c])) for c in largest)
        size = float(self.ball.rows(rows).size(change))
        names = self.estimator.encoding_.classes
        truth = str(names[int(self.targets[row])])
        words = f"{size:.3g} {self.unit}"
        return AttackedRecord(f"series {self.places[row] + 1}", truth, before, after, budget, words, lines)

    @property
    def factor(self) -> str:
        """One standard deviation in the unit of the data, where all channels have the same."""
        sd = self.reading.sd
        if max(sd) > min(sd) * (1 + 1e-9):
            return ""
        return f"1 standard deviation = {sd[0]:.6g} in the unit of the data"

    @property
    def notes(self) -> tuple[str, ...]:
        said = ["the values of the series change, as users pass them; the model's own encoding reads them"]
        if isinstance(self.reading, Observed):
            said.append("only values that were observed change; gaps are filled from them, and times stay")
        if any(isinstance(module, SlopedVotes) for module in self.model.modules()):
            said.append(
                "the answers are those of the whole model, votes included; votes count how often thresholds are "
                "exceeded, which has no gradient, so attacks follow that of ramps in place of thresholds"
            )
        return tuple(said)

    def _asked(self, batch: Sequences, rows: Rows) -> torch.Tensor:
        del rows
        logits: torch.Tensor = self.model(batch)[0]
        return logits

    def _encoded(self, x: torch.Tensor, rows: Rows) -> Sequences:
        """What the encoding makes of values [T, K, C] in standard deviations, with a gradient."""
        frame, channels = self.reading.frame, self.reading.channels
        values, lengths = self._filled(x, rows), self.lengths[rows]
        frames = -(-lengths // frame)
        at = torch.arange(int(frames.max()) * frame)[:, None]
        own = values[at.minimum(lengths - 1), torch.arange(len(rows))]
        own = torch.where((at < frames * frame)[..., None], own, 0.0)
        inputs = own.unflatten(0, (-1, frame)).transpose(1, 2).reshape(-1, len(rows), frame * channels)
        if isinstance(self.reading, Observed):
            inputs = torch.cat([inputs, self._aside[: len(inputs), rows]], -1)
        return Sequences(inputs, self.targets[rows], frames)

    def _filled(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        """Values with straight lines across gaps."""
        if not isinstance(self.reading, Observed):
            return x
        before, after, share = (part[: len(x), rows] for part in self._gaps)
        first, last = (x.double().gather(0, place) for place in (before, after))
        return (first + share * (last - first)).to(x.dtype)

    @cached_property
    def _gaps(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """For each value the places of the two that it is made of, and the share of the second one."""
        before = torch.arange(len(self.x))[:, None, None].expand(self.x.shape).clone()
        after, share = before.clone(), torch.zeros(self.x.shape, dtype=torch.float64)
        for row, item in enumerate(self.items):
            if isinstance(item, Gapped):
                for channel in range(self.x.shape[2]):
                    seen = np.flatnonzero(~np.isnan(item.values[:, channel]))
                    if not len(seen):
                        continue
                    steps = np.arange(len(item))
                    right = np.searchsorted(seen, steps).clip(max=len(seen) - 1)
                    left = (np.searchsorted(seen, steps, side="right") - 1).clip(min=0)
                    first, last, place = seen[left], seen[right], item.place
                    wide = np.where(last > first, place[last] - place[first], 1.0)
                    parts = (first, last, np.where(last > first, (place - place[first]) / wide, 0.0))
                    for whole, part in zip((before, after, share), parts, strict=True):
                        whole[: len(item), row, channel] = torch.from_numpy(part)
        return before, after, share

    @cached_property
    def _aside(self) -> torch.Tensor:
        """What the encoding says beside the values, at each frame."""
        parts = [self.reading.encode(item)[:, self.reading.width :] for item in self.items]
        return torch.nn.utils.rnn.pad_sequence(parts)

    @cached_property
    def _seen(self) -> torch.Tensor:
        """[T, B, C] which values were observed."""
        there = [
            torch.from_numpy(~np.isnan(item.values))
            if isinstance(item, Gapped)
            else torch.ones(len(item), self.x.shape[2]) > 0
            for item in self.items
        ]
        return torch.nn.utils.rnn.pad_sequence(there)

    def _observed(self, item: Any) -> Any:
        scaled = self.reading.scaled(item)
        return np.where(np.isnan(item.values), np.float32(0), scaled) if isinstance(item, Gapped) else scaled

    def _said(self, values: torch.Tensor, rows: Rows) -> str:
        with torch.no_grad():
            chances = self.outputs(values, rows).double().softmax(1)[0]
        best = int(chances.argmax())
        return f"{self.estimator.encoding_.classes[best]} ({float(chances[best]):.3f})"


def with_slopes(model: torch.nn.Module) -> torch.nn.Module:
    """A copy of a model that answers the same, whose votes have a gradient and whose parameters need none."""
    made = copy.deepcopy(model).requires_grad_(requires_grad=False)
    for module in list(made.modules()):
        if isinstance(getattr(module, "votes", None), SeriesVotes):
            module.votes = SlopedVotes(module.votes)  # type: ignore[arg-type]
    return made


def _plain(item: Any) -> Any:
    return item.values if isinstance(item, Gapped) else item


def _line(values: Any) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in values)
