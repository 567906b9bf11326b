"""The display of a running comparison."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tidegate.cli.console import print_line, shown, table
from tidegate.cli.estimate import Estimate, clock
from tidegate.compare import Progress
from tidegate.compare.trial import TrialSpec
from tidegate.records import EpochRecord, RunRecord


class LiveProgress(Progress):
    """A live table of the runs on a terminal; elsewhere, one line for each finished run."""

    def __init__(self, screen: Console, cells: Sequence[str], seeds: int, metric: str) -> None:
        self._screen, self._cells, self._seeds, self._metric = screen, cells, seeds, metric
        self._done: dict[str, list[RunRecord]] = {cell: [] for cell in cells}
        self._running: dict[tuple[str, int], EpochRecord] = {}
        self._start, self._estimate = time.monotonic(), Estimate(cells, seeds)
        self._live = Live(console=screen, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        if self._screen.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def begin(self, done: Sequence[RunRecord], waiting: Sequence[TrialSpec]) -> None:
        for record in done:
            self._done[record.cell].append(record)
            self._estimate.known(record)
        self._start = time.monotonic()
        if done:
            self._screen.print(f"{len(done)} of {len(done) + len(waiting)} runs are already finished")
        self._show()

    def epoch(self, cell: str, seed: int, setting: int, record: EpochRecord) -> None:  # noqa: ARG002  shown by seed
        self._running[cell, seed] = record
        self._estimate.epoch(cell, seed, record.seconds)
        self._show()

    def finish(self, record: RunRecord) -> None:
        self._running.pop((record.cell, record.seed), None)
        self._done[record.cell].append(record)
        self._estimate.finish(record)
        if not self._screen.is_terminal:
            score = "diverged" if record.test is None else f"test {record.test:.4g}"
            print_line(
                self._screen,
                f"{self._counted()} {record.cell} seed {record.seed}: {score}, "
                f"{len(record.curve)} epochs, {record.train_seconds:.1f} s; {self._clock()}",
            )
        self._show()

    def _counted(self) -> str:
        return f"{sum(map(len, self._done.values()))}/{len(self._cells) * self._seeds}"

    def _clock(self) -> str:
        """The time so far, and an estimate of what remains."""
        left = self._estimate.left()
        so_far = f"{clock(time.monotonic() - self._start)} so far"
        return so_far if left is None else f"{so_far}, about {clock(left)} left"

    def _show(self) -> None:
        if not self._screen.is_terminal:
            return
        rows = table("cell", "runs", f"test {self._metric}", "training now")
        rows.columns[3].justify = "left"
        for cell in self._cells:
            tests = [record.test for record in self._done[cell] if record.test is not None]
            mean = f"{sum(tests) / len(tests):.4g}" if tests else ""
            now = "  ".join(
                f"seed {seed}: epoch {record.epoch}, valid {record.valid:.4g}"
                for (name, seed), record in self._running.items()
                if name == cell
            )
            rows.add_row(shown(cell), f"{len(self._done[cell])}/{self._seeds}", mean, now)
        self._live.update(Group(rows, Text(f"{self._counted()} runs, {self._clock()}", style="dim")), refresh=True)
