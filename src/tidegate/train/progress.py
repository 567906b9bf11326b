"""What a run remembers beside tensors: its epochs, its rate, when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from tidegate.records import EpochRecord
from tidegate.train.plan import Plan


@dataclass
class Epoch:
    """Where a run stands inside an epoch; sums are over its steps so far, in all processes."""

    steps: int = 0
    loss: float = 0.0
    count: int = 0
    norms: float = 0.0
    seconds: float = 0.0


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        rate: the learning rate before warm-up and cosine.
        curve: the epochs that are finished.
        best_valid: the best validation score.
        best_epoch: its epoch; 0 where there is none.
        rate_epoch: the epoch from which ``patience_rate`` counts.
        diverged: whether a loss or a gradient was not finite.
        steps: in all epochs.
        now: the present epoch.
    """

    rate: float
    curve: list[EpochRecord] = field(default_factory=list)
    best_valid: float = math.inf
    best_epoch: int = 0
    rate_epoch: int = 0
    diverged: bool = False
    steps: int = 0
    now: Epoch = field(default_factory=Epoch)

    def finished(self, plan: Plan) -> bool:
        """Whether there is nothing more to train."""
        epoch = len(self.curve)
        return self.diverged or epoch >= plan.epochs or epoch - self.best_epoch >= plan.patience

    def step_rate(self, plan: Plan, step: int) -> float:
        """The learning rate of a step; steps of all epochs count from 0."""
        return self.rate * plan.factor(len(self.curve), step)

    def take(self, record: EpochRecord, plan: Plan) -> bool:
        """Add an epoch; True if it is the best so far."""
        self.curve.append(record)
        if record.valid < self.best_valid:
            self.best_valid, self.best_epoch, self.rate_epoch = record.valid, record.epoch, record.epoch
            return True
        if plan.schedule == "plateau" and record.epoch - self.rate_epoch >= plan.patience_rate:
            self.rate, self.rate_epoch = self.rate / 2, record.epoch
        return False

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read back what ``dataclasses.asdict`` gave.

        Raises:
            KeyError, TypeError: ``data`` is no such thing.
        """
        curve = [EpochRecord(**epoch) for epoch in data["curve"]]
        return cls(**{**data, "curve": curve, "now": Epoch(**data["now"])})
