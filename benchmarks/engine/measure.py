"""Runs a row: everyone passes the gate, then all take turns, round by round."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from benchmarks.engine.gate import reference, verdict, worst_error
from benchmarks.engine.item import Item
from benchmarks.engine.peer import PEERS
from benchmarks.engine.problem import Arrays
from benchmarks.engine.record import EntrantRecord, RowRecord
from benchmarks.engine.row import Entrant, Row
from benchmarks.engine.statistic import paired

from tidegate.errors import BackendError

FEWEST_ROUNDS, MOST_ROUNDS = 7, 41
REST_SECONDS = 0.001  # between turns: a stopped process has left the cores by then


class Stage(Protocol):
    """Where one contestant works: a ``Host``, or a stand-in in tests."""

    def prepare(self, key: str, item: Item) -> tuple[Arrays | None, float]:
        """Results and seconds."""

    def turn(self, key: str) -> float:
        """Seconds of one call."""


Stages = Callable[[str, int], Stage]


def measure(row: Row, stage: Stages, seconds: float) -> RowRecord:
    """Run a row for about so many seconds, and for at least ``FEWEST_ROUNDS`` rounds.

    Args:
        row: the work.
        stage: the place of a contestant, by its name and its number of threads.
        seconds: for the rounds, the preparation not counted.
    """
    wanted: dict[Item, Arrays] = {}
    found = {entrant: _admitted(entrant, row, stage, wanted) for entrant in row.entrants}
    ready = [entrant for entrant in row.entrants if found[entrant].note is None]
    base = next((entrant for entrant in ready if entrant.role == "ours"), None)
    times: dict[Entrant, list[float]] = {}
    if base:
        times, failures = _rounds(ready, stage, seconds)
        found |= {entrant: replace(found[entrant], note=note) for entrant, note in failures.items()}
    if base not in times:
        return RowRecord(row.group, row.title, row.unit, None, tuple(found.values()))
    ours = found[base], times[base]
    found |= {entrant: _timed(found[entrant], times[entrant], *ours) for entrant in times}
    return RowRecord(row.group, row.title, row.unit, base.label, tuple(found.values()))


def _admitted(entrant: Entrant, row: Row, stage: Stages, wanted: dict[Item, Arrays]) -> EntrantRecord:
    """The record of an entrant, with a note if it is not to be timed."""
    item = entrant.item
    record = EntrantRecord(entrant.label, entrant.peer, entrant.role, item.title, row.units(item))
    record = replace(record, target=entrant.target)
    missing = PEERS[entrant.peer].missing(item)
    if missing:
        return replace(record, note=missing)
    try:
        results, seconds = stage(entrant.peer, item.threads).prepare(_key(entrant), item)
    except BackendError as error:
        return replace(record, note=str(error))
    record = replace(record, first_seconds=round(seconds, 6))
    if results is None:
        return record
    if item not in wanted:
        wanted[item] = reference(item)
    worst = worst_error(item, results, wanted[item])
    return replace(record, error=worst, note=verdict(item, worst))


def _rounds(
    entrants: Sequence[Entrant], stage: Stages, seconds: float
) -> tuple[dict[Entrant, list[float]], dict[Entrant, str]]:
    """Times of all entrants, each round in another order, and what went wrong with those that failed on the way."""
    shuffle = random.Random(0).shuffle  # noqa: S311  not for secrets
    times: dict[Entrant, list[float]] = {entrant: [] for entrant in entrants}
    failures: dict[Entrant, str] = {}
    start = time.perf_counter()
    for done in range(MOST_ROUNDS):
        if done >= FEWEST_ROUNDS and time.perf_counter() - start > seconds:
            break
        order = list(times)
        shuffle(order)
        for entrant in order:
            time.sleep(REST_SECONDS)
            try:
                times[entrant].append(stage(entrant.peer, entrant.item.threads).turn(_key(entrant)))
            except BackendError as error:
                failures[entrant] = str(error)
                del times[entrant]
    return times, failures


def _timed(record: EntrantRecord, times: list[float], base: EntrantRecord, base_times: list[float]) -> EntrantRecord:
    theirs = [seconds / record.units for seconds in times]
    ours = [seconds / base.units for seconds in base_times]
    return replace(record, times=tuple(round(t, 10) for t in times), ratio=paired(theirs, ours))


def _key(entrant: Entrant) -> str:
    return f"{entrant.role} {entrant.label}"
