"""The display of a running comparison."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import mean

from rich.table import Table

from tidegate.cli.console import shown, table
from tidegate.cli.estimate import Estimate
from tidegate.cli.status import Status, clock
from tidegate.compare import Progress
from tidegate.compare.trial import TrialSpec
from tidegate.language import local, say
from tidegate.records import EpochRecord, RunRecord


class LiveProgress(Progress):
    """A table of the runs above the moving line of a terminal; elsewhere, one line for each finished run.

    Args:
        status: shows the phases of the comparison.
        cells: the names of the cells.
        seeds: runs of each cell.
        metric: the name of the score.
    """

    def __init__(self, status: Status, cells: Sequence[str], seeds: int, metric: str) -> None:
        self._status, self._cells, self._seeds, self._metric = status, cells, seeds, metric
        self._done: dict[str, list[RunRecord]] = {cell: [] for cell in cells}
        self._running: dict[tuple[str, int], EpochRecord] = {}
        self._start, self._estimate = time.monotonic(), Estimate(cells, seeds)

    def begin(self, done: Sequence[RunRecord], waiting: Sequence[TrialSpec]) -> None:
        for record in done:
            self._done[record.cell].append(record)
            self._estimate.known(record)
        self._start = time.monotonic()
        if done:
            self._status.print(
                local("{done} of {all} runs are already finished", done=len(done), all=len(done) + len(waiting))
            )
        self._status.body = self._table
        self._show()

    def epoch(self, cell: str, seed: int, setting: int, record: EpochRecord) -> None:  # noqa: ARG002  shown by seed
        self._running[cell, seed] = record
        self._estimate.epoch(cell, seed, record.seconds)
        self._show()

    def finish(self, record: RunRecord) -> None:
        self._running.pop((record.cell, record.seed), None)
        self._done[record.cell].append(record)
        self._estimate.finish(record)
        if not self._status.terminal:
            score = say("diverged") if record.test is None else say("test {score:.4g}", score=record.test)
            self._status.print(
                local(
                    "{counted} {cell} seed {seed}: {score}, {epochs} epochs, {seconds:.1f} s; {clock}",
                    counted=self._counted(), cell=record.cell, seed=record.seed, score=score,
                    epochs=len(record.curve), seconds=record.train_seconds, clock=self._clock(),
                )
            )  # fmt: skip
        self._show()

    def _finished(self) -> int:
        return sum(map(len, self._done.values()))

    def _counted(self) -> str:
        return f"{self._finished()}/{len(self._cells) * self._seeds}"

    def _clock(self) -> str:
        """The time so far, and an estimate of what remains."""
        elapsed, left = time.monotonic() - self._start, self._estimate.left()
        so_far = clock(elapsed)
        if left is None:
            return local("{time} so far", time=so_far)
        return local("{time} so far, about {left} left", time=so_far, left=clock(left, like=elapsed))

    def _detail(self) -> str:
        if self._status.terminal:
            return self._so_far()
        now = ", ".join(
            local("{cell} seed {seed} epoch {epoch}", cell=cell, seed=seed, epoch=record.epoch)
            for (cell, seed), record in [*self._running.items()]
        )
        return self._so_far() + (f"; {now}" if now else "")

    def _so_far(self) -> str:
        return local("{counted} runs, {clock}", counted=self._counted(), clock=self._clock())

    def _show(self) -> None:
        self._status.phase("training", self._finished(), len(self._cells) * self._seeds, self._detail)

    def _table(self) -> Table:
        rows = table(local("cell"), local("runs"), local("test {metric}", metric=self._metric), local("training now"))
        rows.columns[3].justify = "left"
        for cell in self._cells:
            tests = [record.test for record in self._done[cell] if record.test is not None]
            score = f"{mean(tests):.4g}" if tests else ""
            now = "  ".join(
                local(
                    "seed {seed}: epoch {epoch}, valid {score:.4g}", seed=seed, epoch=record.epoch, score=record.valid
                )
                for (name, seed), record in [*self._running.items()]
                if name == cell
            )
            rows.add_row(shown(cell), f"{len(self._done[cell])}/{self._seeds}", score, now)
        return rows
