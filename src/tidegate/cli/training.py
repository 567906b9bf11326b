"""The display of a running training."""

from __future__ import annotations

import time
from statistics import median
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tidegate.cli.console import print_line, print_note
from tidegate.cli.words import in_shell
from tidegate.records import DataRecord, EpochRecord, StepRecord
from tidegate.tasks import TABLE
from tidegate.train.setting import Training, names, task_of
from tidegate.train.watch import Watch

LINE_SECONDS = 10.0  # between lines where there is no terminal
BAR_SECONDS = 0.1  # between updates of the bar


class TrainingProgress:
    """A bar for the current epoch and a line for each finished one; without a terminal, lines only."""

    def __init__(self, screen: Console, setting: Training) -> None:
        self._screen, self._setting, self._items_name = screen, setting, TABLE[task_of(setting)].task.items
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
        self._bar = Progress(
            *columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal
        )
        self._bar_id = self._bar.add_task("", text="")
        self._printed = self._drawn = time.monotonic()
        self._epoch, self._begin, self._items, self._steps = 0, 0.0, 0, 0  # the current epoch, since it was resumed
        self._seconds: list[float] = []  # of each epoch finished in this session
        self.watch = Watch(self._data, self._step, self._finish)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _data(self, data: DataRecord) -> None:
        self._print(f"{task_of(self._setting)}: {data.name}, {data.description}")
        self._print(f"split {data.split}")
        for warning in data.warnings:
            print_note(self._bar.console, in_shell(warning, names(type(self._setting))))

    def _step(self, record: StepRecord) -> None:
        now = time.monotonic()
        if record.epoch != self._epoch:
            return self._begin_epoch(record, now)
        self._items, self._steps = self._items + record.items, self._steps + 1
        if self._screen.is_terminal:
            if now - self._drawn > BAR_SECONDS:
                self._draw(record, now)
        elif now - self._printed > LINE_SECONDS:
            self._print(f"epoch {record.epoch}: {self._status(record, now)}")
        return None

    def _begin_epoch(self, record: StepRecord, now: float) -> None:
        """Start timing after the first step, which may include compilation."""
        if not self._epoch and (record.epoch, record.step) != (1, 1):
            self._print(f"resuming at epoch {record.epoch}, step {record.step}")
        self._epoch, self._begin, self._items, self._steps = record.epoch, now, 0, 0
        self._printed = now

    def _draw(self, record: StepRecord, now: float) -> None:
        self._drawn = now
        self._bar.update(
            self._bar_id,
            description=f"epoch {record.epoch}",
            completed=record.step,
            total=record.steps,
            text=self._status(record, now),
            refresh=True,
        )

    def _status(self, record: StepRecord, now: float) -> str:
        elapsed = now - self._begin
        remaining = max(0, record.steps - record.step) * elapsed / self._steps
        rate = f"{self._items / elapsed:,.0f} {self._items_name}/s"
        done = f"step {record.step}/{record.steps}, loss {record.loss:.4g}, {rate}"
        return f"{done}, {clock(remaining)} left in this epoch"

    def _finish(self, record: EpochRecord) -> None:
        self._seconds.append(record.seconds)
        most = (self._setting.epochs - record.epoch) * median(self._seconds)
        self._print(
            f"epoch {record.epoch}: train {record.train:.4g}, valid {record.valid:.4g}, "
            f"gradient {record.gradient_norm:.3g}, rate {record.learning_rate:.2g}, {clock(record.seconds)}; "
            f"at most {clock(most)} left"
        )

    def _print(self, text: str) -> None:
        self._printed = time.monotonic()
        print_line(self._bar.console, text)


def clock(seconds: float) -> str:
    """A time in seconds as readable text.

    Examples:
        >>> clock(0.25), clock(99), clock(3600), clock(36000)
        ('0.2 s', '99 s', '60 min', '10.0 h')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
