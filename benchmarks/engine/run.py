"""The whole bench: every row, the extra measurements, the verdicts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby, product

from benchmarks.engine import grid
from benchmarks.engine.competition import busy, competing
from benchmarks.engine.first_call import first_call
from benchmarks.engine.half import half
from benchmarks.engine.host import Crew
from benchmarks.engine.item import Item
from benchmarks.engine.machine import machine, versions
from benchmarks.engine.measure import measure
from benchmarks.engine.memory import kept_floats
from benchmarks.engine.peer import PEERS
from benchmarks.engine.record import BenchRecord, FirstCallRecord, RowRecord, VerdictRecord
from benchmarks.engine.row import Row
from benchmarks.engine.target import verdicts, verdicts_in_half, verdicts_when_busy

from tidegate.errors import BackendError

KEPT = (Item("lstm", 100, 32, 128, 128, "training"), Item("lstm", 200, 64, 256, 256, "training"))
THREAD_TIME = {"BENCH_CLOCK": "thread"}
Watch = Callable[[RowRecord], None]


def rows_of(
    *,
    threads: Sequence[int],
    quick: bool = False,
    compiled: bool = False,
    only: str = "",
    load: bool = False,
    products: Sequence[str] = (),
) -> list[Row]:
    """The rows to run, those of one thread count together; ``only`` keeps those with this text in group or title.

    With ``load``, rows of several threads also have ours on one. With ``products``, rows are those of these types.
    """
    make = grid.quick if quick else grid.full
    if products:
        rows = [row for count, name in product(threads, products) for row in half(count, name)]
    else:
        rows = [row for count in threads for row in make(count, compiled=compiled)]
    rows = [grid.beside_one_thread(row) for row in rows] if load else rows
    return [row for row in rows if only in f"{row.group}: {row.title}"]


def run(
    rows: Sequence[Row],
    seconds_per_row: float,
    watch: Watch,
    *,
    command: str,
    quick: bool,
    load: bool = False,
    thread_time: bool = False,
) -> BenchRecord:
    """Measure the rows one after the other.

    Args:
        rows: as ``rows_of`` gives them.
        seconds_per_row: for the rounds of a row; seven rounds are run in any case.
        watch: is told of every finished row.
        command: how the run was started, for the record.
        quick: whether the rows are the small subset, for the record.
        load: whether an endless loop runs on each core meanwhile.
        thread_time: whether times are those of the calling thread, which leave out what others do meanwhile.
    """
    began, date, where = time.perf_counter(), datetime.now(UTC), machine()
    with competing(wanted=load) as loops:
        found = _measured(rows, seconds_per_row, watch, (busy() if load else {}) | (THREAD_TIME if thread_time else {}))
    idle = not load
    first = _first_call() if idle and any(row.group == "a user's own cell" for row in rows) else None
    kept = {item.title: round(kept_floats(item), 3) for item in KEPT} if idle and _trains_lstm(rows) else {}
    return BenchRecord(
        command=command,
        date=f"{date:%Y-%m-%d %H:%M} UTC",
        quick=quick,
        seconds=round(time.perf_counter() - began, 1),
        machine=where | ({"competing loops": str(loops)} if loops else {}),
        versions=versions({entrant.peer for row in rows for entrant in row.entrants}),
        rows=tuple(found),
        first_call=first,
        memory=kept,
        verdicts=_verdicts(found, first, kept, load=load),
    )


def _verdicts(
    rows: Sequence[RowRecord], first: FirstCallRecord | None, kept: Mapping[str, float], *, load: bool
) -> tuple[VerdictRecord, ...]:
    if any(entrant.target for row in rows for entrant in row.entrants):
        return verdicts_in_half(rows)
    return verdicts_when_busy(rows) if load else verdicts(rows, first, kept)


def _measured(
    rows: Sequence[Row], seconds_per_row: float, watch: Watch, environment: Mapping[str, str]
) -> list[RowRecord]:
    found: list[RowRecord] = []
    for threads, together in groupby(rows, key=lambda row: row.item.threads):
        with Crew(environment) as crew:
            same_threads = list(together)
            crew.start(_contestants(same_threads), threads)
            for row in same_threads:
                found.append(measure(row, crew.host, seconds_per_row))
                crew.forget()
                watch(found[-1])
    return found


def _contestants(rows: Sequence[Row]) -> set[str]:
    """Who can do anything of this here."""
    entrants = (entrant for row in rows for entrant in row.entrants)
    return {entrant.peer for entrant in entrants if PEERS[entrant.peer].missing(entrant.item) is None}


def _trains_lstm(rows: Sequence[Row]) -> bool:
    return any(row.group == "lstm training" for row in rows)


def _first_call() -> FirstCallRecord | None:
    try:
        return first_call()
    except BackendError:
        return None  # the row of this cell says what is wrong
