"""What a training shows while it runs."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from tidegate.errors import InputError
from tidegate.estimator import Watch, from_pretrained
from tidegate.estimator.estimator import CARD
from tidegate.records import DataRecord, EpochRecord, StepRecord
from tidegate.setting import Training

SPOKEN_SECONDS = 10.0  # between lines where there is no terminal


class TrainingProgress:
    """A bar for the present epoch and a line for each finished one; lines alone where there is no terminal."""

    def __init__(self, screen: Console, setting: Training, out: Path) -> None:
        self._screen, self._setting, self._out = screen, setting, out
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"))
        self._bar = Progress(
            *columns, console=screen, auto_refresh=False, transient=True, disable=not screen.is_terminal
        )
        self._task = self._bar.add_task("", said="")
        self._spoken = self._start = time.monotonic()
        self._items = self._seconds = 0.0
        self._epoch = 0
        self.watch = Watch(self._data, self._step, self._finish)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def _data(self, data: DataRecord) -> None:
        self._say(f"{self._setting.task}: {data.name}, {data.description}")
        self._say(f"split {data.split}")
        for warning in data.warnings:
            self._bar.console.print(f"note: {warning}", style="yellow", markup=False, soft_wrap=True)

    def _step(self, record: StepRecord) -> None:
        if record.epoch != self._epoch:
            self._epoch, self._items, self._seconds = record.epoch, 0.0, 0.0
        self._items, self._seconds = self._items + record.items, self._seconds + record.seconds
        left = (record.steps - record.step) * self._seconds / record.step
        rate = self._items / self._seconds
        said = f"step {record.step}/{record.steps}, loss {record.loss:.4g}, {rate:,.0f} items/s, {left:.0f} s left"
        if self._screen.is_terminal:
            self._bar.update(
                self._task,
                description=f"epoch {record.epoch}",
                completed=record.step,
                total=record.steps,
                said=said,
                refresh=True,
            )
        elif time.monotonic() - self._spoken > SPOKEN_SECONDS:
            self._say(f"epoch {record.epoch}: {said}")

    def _finish(self, record: EpochRecord) -> None:
        elapsed = time.monotonic() - self._start
        most = (self._setting.epochs - record.epoch) * record.seconds
        self._say(
            f"epoch {record.epoch}: train {record.train:.4g}, valid {record.valid:.4g}, "
            f"gradient {record.gradient_norm:.3g}, rate {record.learning_rate:.2g}, {record.seconds:.1f} s; "
            f"{elapsed:.0f} s so far, at most {most:.0f} s left"
        )

    def _say(self, text: str) -> None:
        self._spoken = time.monotonic()
        self._bar.console.print(text, markup=False, soft_wrap=True)


def fresh_or_same(out: Path, setting: Training, screen: Console) -> None:
    """Refuse a folder that holds the model of other settings.

    Raises:
        InputError: it does, or is no folder.
    """
    if out.exists() and not out.is_dir():
        raise InputError("OUT", f"the model cannot go to {out}: it is not a folder", fix="choose another with --out")
    if not (out / CARD).exists():
        return
    there = from_pretrained(out)
    if dataclasses.asdict(there.setting()) != dataclasses.asdict(setting):
        raise InputError(
            "OUT_TAKEN",
            f"{out} holds a model that was trained with other settings",
            fix="choose another folder with --out, or delete that one",
        )
    screen.print(f"{out} holds this model already, of the same settings; it is trained again", style="yellow")
