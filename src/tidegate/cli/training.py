"""The display of a running training."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from tidegate.cli.status import Status, clock
from tidegate.records import DataRecord, EpochRecord, StepRecord
from tidegate.tasks import TABLE
from tidegate.train.setting import Training, task_of

if TYPE_CHECKING:
    from tidegate.train.watch import Watch


class TrainingProgress(Status):
    """The status of a training: each phase, each step with its rate, and a line for each finished epoch.

    Args:
        screen: where to show them.
        setting: of the training.
    """

    def __init__(self, screen: Console, setting: Training) -> None:
        super().__init__(screen, speaks=True)
        self._setting, self._row = setting, TABLE[task_of(setting)]
        self._epoch, self._begin, self._items, self._steps = 0, 0.0, 0, 0  # the current epoch, since it was resumed
        self._private = setting.epsilon is not None
        self._of = " a unit" if self._private else ""  # what the loss is the mean of, unless it is a term
        self._seconds: list[float] = []  # of each epoch finished in this session

    @property
    def _items_name(self) -> str:
        """What is counted: a task, which says it, loads torch, so not before training begins."""
        return "units" if self._private else self._row.task.items

    @property
    def watch(self) -> Watch:
        """The callbacks that a training needs to be shown."""
        from tidegate.train.watch import Watch  # slow to load, and the first phase is shown before

        return Watch(self.data, self.step, self.epoch, on_note=self.print)

    def data(self, data: DataRecord) -> None:
        """What was read."""
        self.print(f"{task_of(self._setting)}: {data.name}, {data.description}")
        self.print(f"split {data.split}")

    def step(self, record: StepRecord) -> None:
        """A step was taken; the time of the first one does not count, since it may compile."""
        now = time.monotonic()
        if record.epoch != self._epoch:
            if not self._epoch and (record.epoch, record.step) != (1, 1):
                self.print(f"resuming at epoch {record.epoch}, batch {record.step}")
            self._epoch, self._begin, self._items, self._steps = record.epoch, now, 0, 0
        else:
            self._items, self._steps = self._items + record.items, self._steps + 1
        self.phase(f"epoch {record.epoch}", record.step, record.steps, lambda: self._detail(record, now))

    def epoch(self, record: EpochRecord) -> None:
        """An epoch has ended."""
        self._seconds.append(record.seconds)
        left = self._setting.epochs - record.epoch
        most = clock(left * median(self._seconds), like=record.seconds)
        bound = "" if self._private else "at most "
        ahead = f"; {bound}{left} more epoch{'s' * (left > 1)}, about {most}" if left else ""
        loss = f"loss {record.train or 0.0:.4g}{self._of}"
        score = f"validation {self._row.task.metric} {record.valid:.4g}"
        rate = f"rate {record.learning_rate:.2g}{self._density(record.epoch)}{_spent(record)}"
        step = f"gradient {record.gradient_norm:.3g}, {rate}, {clock(record.seconds)}{ahead}"
        self.print(f"epoch {record.epoch}: {loss}, {score}, {step}")

    def _density(self, epoch: int) -> str:
        """The share of the recurrent weights that is kept at the end of an epoch, unless all are."""
        from tidegate.train.state import density_after  # slow to load

        return f", density {density_after(self._setting, epoch):.3g}" if self._setting.density < 1 else ""

    def _detail(self, record: StepRecord, now: float) -> str:
        done, elapsed = f"batch {record.step}/{record.steps}, loss {record.loss:.4g}{self._of}", now - self._begin
        if not (self._steps and elapsed):
            return done
        rate = f"{self._items / elapsed:,.0f} {self._items_name}/s"
        remaining = max(0, record.steps - record.step) * elapsed / self._steps
        return f"{done}, {rate}, {clock(remaining)} left in this epoch"


def _spent(record: EpochRecord) -> str:
    """What a private training has spent so far."""
    return "" if record.epsilon is None else f", epsilon {record.epsilon:.3g}"
