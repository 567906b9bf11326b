"""Both sides take turns, after their outputs have been compared."""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.engine.statistic import Ratio, paired
from benchmarks.real.subject import Run, Subject, difference, largest, lines

FEWEST_ROUNDS, MOST_ROUNDS = 7, 41
TURN_SECONDS = 0.05  # calls are repeated until a turn takes as long, which outlasts a turn of the scheduler


@dataclass(frozen=True)
class RowRecord:
    """A line of the table.

    Attributes:
        name: of the network, the key of the row.
        package: with its version.
        reason: why it was not timed, else "".
        error, largest: the largest difference of the outputs, and their largest value.
        glue_lines: that a user writes today.
        theirs, ours: median seconds of a call.
        ratio: theirs over ours, round by round.
    """

    name: str
    package: str
    reason: str = ""
    cells: str = ""
    source: str = ""
    judge: str = ""
    work: str = ""
    note: str = ""
    glue_lines: int | None = None
    error: float | None = None
    largest: float | None = None
    theirs: float | None = None
    ours: float | None = None
    ratio: Ratio | None = None


def measured(subject: Subject, package: str, seconds: float) -> RowRecord:
    """Compare, then time for about so many seconds."""
    theirs, ours = subject.theirs(), subject.ours()
    error = difference(theirs, ours)
    said = {name: getattr(subject, name) for name in ("cells", "source", "judge", "work", "note")}
    facts: dict[str, Any] = {**said, "error": error, "largest": largest(theirs)}
    facts["glue_lines"] = sum(map(lines, subject.glue))
    if not error <= subject.allowed:
        return RowRecord(subject.name, package, f"differs by {error:.1e}, allowed are {subject.allowed:.0e}", **facts)
    times = _rounds((subject.theirs, subject.ours), seconds)
    middle = [median(side) for side in times]
    return RowRecord(subject.name, package, theirs=middle[0], ours=middle[1], ratio=paired(*times), **facts)


def _rounds(sides: tuple[Run, Run], seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of a call of each side, round by round; who begins alternates."""
    calls = [_calls(side) for side in sides]
    times: tuple[list[float], list[float]] = ([], [])
    start = time.perf_counter()
    gc.disable()
    for turn in range(MOST_ROUNDS):
        if turn >= FEWEST_ROUNDS and time.perf_counter() - start > seconds:
            break
        for k in (0, 1) if turn % 2 else (1, 0):
            times[k].append(_seconds(sides[k], calls[k]) / calls[k])
    gc.enable()
    return times


def _calls(side: Run) -> int:
    calls = 1
    while (seconds := _seconds(side, calls)) < TURN_SECONDS:
        calls = max(calls + 1, min(2 * calls, round(1.1 * calls * TURN_SECONDS / seconds)))
    return calls


def _seconds(side: Run, calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        side()
    return time.perf_counter() - start
