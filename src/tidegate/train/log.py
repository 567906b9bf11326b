"""The log of a training: a CSV file and, on request, TensorBoard events."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

from tidegate.errors import InputError, explain_missing
from tidegate.plain import from_csv, to_csv
from tidegate.records import EpochRecord, StepRecord
from tidegate.storage import replace_file


class Log:
    """Writes ``log.csv`` with a line for each epoch into a folder and, with ``tensorboard``, events as well.

    A resumed run replaces the lines of epochs that it trains again, and purges earlier events from its first step on.
    Events of both steps and epochs are filed under the number of steps so far.

    Args:
        folder: where to write.
        tensorboard: whether to write events.
        private: whether to leave out what is made of training rows without noise.

    Raises:
        MissingError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False, private: bool = False) -> None:
        self._private = private
        self._path, self._events = folder / "log.csv", folder / "tensorboard"
        self._make = _summary_writer() if tensorboard else None
        self._writer: Any = None
        self._steps = 0

    def step(self, record: StepRecord) -> None:
        """Log a step."""
        self._steps = record.total
        if self._make is not None:
            self._writer = self._writer or self._make(str(self._events), purge_step=self._steps)
            if not self._private:
                self._writer.add_scalar("step/loss", record.loss, self._steps)
            self._writer.add_scalar("step/gradient norm", record.gradient_norm, self._steps)

    def epoch(self, record: EpochRecord) -> None:
        """Log an epoch."""
        left_out = ("train", "seconds") if self._private else ()
        every = dataclasses.asdict(record).items()
        values = {name: value for name, value in every if value is not None and name not in left_out}
        rows = [list(row.values()) for row in self._earlier(list(values)) if int(row["epoch"]) < record.epoch]
        replace_file(self._path, to_csv(list(values), [*rows, list(values.values())]))
        if self._writer is not None:
            for name, value in values.items():
                if name != "epoch":
                    self._writer.add_scalar(f"epoch/{name}", value, self._steps)
            self._writer.flush()

    def close(self) -> None:
        """Write pending events."""
        if self._writer is not None:
            self._writer.close()

    def _earlier(self, names: list[str]) -> list[dict[str, str]]:
        if not self._path.exists():
            return []
        try:
            rows = from_csv(self._path.read_text(encoding="utf-8")) if self._path.is_file() else [{}]
        except (ValueError, csv.Error):
            rows = [{}]
        if any(set(row) != set(names) or not row["epoch"].isdecimal() for row in rows):
            raise InputError("LOG_DAMAGED", f"{self._path} is not a log of epochs", fix="delete it, or move it away")
        return rows


def _summary_writer() -> Any:
    with explain_missing():
        from torch.utils.tensorboard import SummaryWriter  # an optional package, slow to load
    return SummaryWriter
