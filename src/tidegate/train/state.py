"""The progress of a run, apart from its tensors: epochs, learning rate, early stopping."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

from tidegate.plain import typed
from tidegate.records import EpochRecord
from tidegate.train.fitted import is_private
from tidegate.train.setting import Training


@dataclass
class EpochState:
    """The progress of an epoch; its sums cover the steps so far, in all processes."""

    steps: int = 0
    loss: float = 0.0
    count: int = 0
    norms: float = 0.0
    seconds: float = 0.0


@dataclass
class RunState:
    """The progress of a run.

    Attributes:
        rate: the learning rate before warm-up and cosine.
        curve: the finished epochs.
        best_valid: the best validation score.
        best_epoch: the epoch of the best validation score; 0 if there is none.
        rate_epoch: the epoch from which ``patience_rate`` counts.
        diverged: whether a loss or a gradient was not finite.
        steps: steps in all epochs.
        now: the current epoch.
    """

    rate: float
    curve: list[EpochRecord] = field(default_factory=list)
    best_valid: float = math.inf
    best_epoch: int = 0
    rate_epoch: int = 0
    diverged: bool = False
    steps: int = 0
    now: EpochState = field(default_factory=EpochState)

    def finished(self, setting: Training) -> bool:
        """Whether training ends here: all epochs done, patience exhausted, or diverged."""
        epoch, since = len(self.curve), max(self.best_epoch, dense_epochs(setting))
        tired = epoch - since >= setting.patience and not is_private(setting)
        return self.diverged or epoch >= setting.epochs or tired

    def step_rate(self, setting: Training, step: int) -> float:
        """The learning rate of a step of the current epoch.

        Args:
            setting: the schedule and the warm-up.
            step: its number, from 0, over all epochs.

        Equations:
            cosine: rate (1 + cos(pi epoch / epochs)) / 2;  warm-up: times (step + 1) / warmup, at most 1
        """
        rate = self.rate
        if setting.schedule == "cosine":
            rate *= (1 + math.cos(math.pi * len(self.curve) / setting.epochs)) / 2
        return rate * min(1.0, (step + 1) / setting.warmup) if setting.warmup else rate

    def take(self, record: EpochRecord, setting: Training) -> bool:
        """Add an epoch; True if it is the best so far. Those before the density is reached do not count.

        Of a private training the last is the best: whoever chose by the score would have to account for the choice.
        """
        self.curve.append(record)
        if is_private(setting):
            self.best_valid, self.best_epoch = record.valid, record.epoch
            return True
        if record.epoch <= dense_epochs(setting):
            self.rate_epoch = record.epoch
            return False
        if record.valid < self.best_valid:
            self.best_valid, self.best_epoch, self.rate_epoch = record.valid, record.epoch, record.epoch
            return True
        if setting.schedule == "plateau" and record.epoch - self.rate_epoch >= setting.patience_rate:
            self.rate, self.rate_epoch = self.rate / 2, record.epoch
        return False

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Restore the progress from ``dataclasses.asdict``.

        Raises:
            InputError: ``data`` is not such a dictionary.
        """
        state: Self = typed(data, cls, "state")
        return state


def falling_epochs(setting: Training) -> int:
    """The epochs over which the density falls; 0 where all weights are kept."""
    return min(setting.epochs, setting.density_epochs or -(-setting.epochs // 2)) if setting.density < 1 else 0


def dense_epochs(setting: Training) -> int:
    """The epochs at whose end more weights are kept than in the end."""
    return max(0, falling_epochs(setting) - 1)


def density_after(setting: Training, epoch: int) -> float:
    """The density at the end of an epoch, by the curve of ``tidegate.sparsify``."""
    return setting.density + (1 - setting.density) * max(0.0, 1 - epoch / max(1, falling_epochs(setting))) ** 3


def decay(setting: Training, step: int) -> float:
    """The decay of the moving average of the weights at a step, which counts from 0.

    Equations:
        min(averaging, (step + 1) / (step + 10)), so that the initial weights soon lose their influence
    """
    return min(setting.averaging, (step + 1) / (step + 10))
