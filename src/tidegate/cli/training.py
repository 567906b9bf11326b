"""What a training shows while it runs."""

from __future__ import annotations

import time
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tidegate.cli.words import in_shell
from tidegate.records import DataRecord, EpochRecord, StepRecord
from tidegate.tasks import TABLE
from tidegate.train.setting import Training, names, task_of
from tidegate.train.watch import Watch

SPOKEN_SECONDS = 10.0  # between lines where there is no terminal
DRAWN_SECONDS = 0.1  # between two states of the bar


class TrainingProgress:
    """A bar for the present epoch and a line for each finished one; lines alone where there is no terminal."""

    def __init__(self, screen: Console, setting: Training) -> None:
        self._screen, self._setting, self._items_name = screen, setting, TABLE[task_of(setting)].task.items
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
        self._bar = Progress(
            *columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal
        )
        self._task = self._bar.add_task("", said="")
        self._spoken = self._drawn = time.monotonic()
        self._epoch, self._begin, self._items, self._steps = 0, 0.0, 0, 0  # of the present epoch, in this session
        self._seconds: list[float] = []  # of the epochs of this session
        self.watch = Watch(self._data, self._step, self._finish)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _data(self, data: DataRecord) -> None:
        self._say(f"{task_of(self._setting)}: {data.name}, {data.description}")
        self._say(f"split {data.split}")
        for warning in data.warnings:
            text = in_shell(warning, names(type(self._setting)))
            self._bar.console.print(f"note: {text}", style="yellow", markup=False, soft_wrap=True)

    def _step(self, record: StepRecord) -> None:
        now = time.monotonic()
        if record.epoch != self._epoch:
            return self._begin_epoch(record, now)
        self._items, self._steps = self._items + record.items, self._steps + 1
        if self._screen.is_terminal:
            if now - self._drawn > DRAWN_SECONDS:
                self._draw(record, now)
        elif now - self._spoken > SPOKEN_SECONDS:
            self._say(f"epoch {record.epoch}: {self._said(record, now)}")
        return None

    def _begin_epoch(self, record: StepRecord, now: float) -> None:
        """Count from behind the first step, which may compile."""
        if not self._epoch and (record.epoch, record.step) != (1, 1):
            self._say(f"goes on from epoch {record.epoch}, step {record.step}")
        self._epoch, self._begin, self._items, self._steps = record.epoch, now, 0, 0
        self._spoken = now

    def _draw(self, record: StepRecord, now: float) -> None:
        self._drawn = now
        self._bar.update(
            self._task,
            description=f"epoch {record.epoch}",
            completed=record.step,
            total=record.steps,
            said=self._said(record, now),
            refresh=True,
        )

    def _said(self, record: StepRecord, now: float) -> str:
        elapsed = now - self._begin
        left = max(0, record.steps - record.step) * elapsed / self._steps
        rate = f"{self._items / elapsed:,.0f} {self._items_name}/s"
        return f"step {record.step}/{record.steps}, loss {record.loss:.4g}, {rate}, {clock(left)} left in this epoch"

    def _finish(self, record: EpochRecord) -> None:
        self._seconds.append(record.seconds)
        most = (self._setting.epochs - record.epoch) * median(self._seconds)
        self._say(
            f"epoch {record.epoch}: train {record.train:.4g}, valid {record.valid:.4g}, "
            f"gradient {record.gradient_norm:.3g}, rate {record.learning_rate:.2g}, {clock(record.seconds)}; "
            f"at most {clock(most)} left"
        )

    def _say(self, text: str) -> None:
        self._spoken = time.monotonic()
        self._bar.console.print(text, markup=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """A time as people say it.

    Examples:
        >>> clock(0.25), clock(99), clock(3600), clock(36000)
        ('0.2 s', '99 s', '60 min', '10.0 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
