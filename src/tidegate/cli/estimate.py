"""How long a comparison still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tidegate.records import RunRecord


class Estimate:
    """Seconds that are left, from the seconds of training that the runs of each cell need.

    A share of the finished runs would be wrong at the start: workers need time to start, all of them are in the
    middle of a run, and some cells train longer than others.

    Args:
        cells: the names of the cells.
        seeds: the number of runs of each.
        now: the clock, in seconds.
    """

    def __init__(self, cells: Sequence[str], seeds: int, now: Callable[[], float] = time.monotonic) -> None:
        self._seeds, self._now = seeds, now
        self._needed: dict[str, list[float]] = {cell: [] for cell in cells}
        self._running: dict[tuple[str, int], float] = {}
        self._trained = 0.0  # seconds of all workers together
        self._start: float | None = None  # when the workers had started

    def known(self, record: RunRecord) -> None:
        """A run was finished earlier."""
        self._needed[record.cell].append(record.train_seconds)

    def epoch(self, cell: str, seed: int, seconds: float) -> None:
        """A worker has trained for so many seconds."""
        if self._start is None:
            self._start = self._now() - seconds
        self._trained += seconds
        self._running[cell, seed] = self._running.get((cell, seed), 0.0) + seconds

    def finish(self, record: RunRecord) -> None:
        """A run has finished; not all of its epochs need have been told."""
        told = self._running.get((record.cell, record.seed), 0.0)
        self.epoch(record.cell, record.seed, max(0.0, record.train_seconds - told))
        del self._running[record.cell, record.seed]
        self.known(record)

    def left(self) -> float | None:
        """Seconds until the last run ends; None as long as nothing can be said."""
        needed = [sum(seconds) / len(seconds) for seconds in self._needed.values() if seconds]
        if not needed or self._start is None or not self._trained:
            return None
        usual, speed = sum(needed) / len(needed), self._trained / max(self._now() - self._start, 1e-9)
        missing = 0.0
        for cell, seconds in self._needed.items():
            own = sum(seconds) / len(seconds) if seconds else usual
            running = [done for (name, _), done in self._running.items() if name == cell]
            missing += sum(max(own - done, 0.1 * own) for done in running)
            missing += own * (self._seeds - len(seconds) - len(running))
        return missing / speed
