"""What a run of the bench leaves behind; plain data that survives JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from benchmarks.engine.statistic import Ratio


@dataclass(frozen=True)
class EntrantRecord:
    """One entrant of a row.

    Attributes:
        label, peer, role: as in the row.
        item: the title of its work.
        units: calls, tokens or FLOPs of one call.
        error: the largest error against float64, as a part of the largest value; None if nothing was checked.
        first_seconds: until its first result was there, compilation included.
        times: seconds of one call, round by round; empty if it was not timed.
        ratio: its time per unit over ours.
        note: why it was not timed.
        target: what the ratio must reach, 0 for nothing.
    """

    label: str
    peer: str
    role: str
    item: str
    units: int
    error: float | None = None
    first_seconds: float | None = None
    times: tuple[float, ...] = ()
    ratio: Ratio | None = None
    note: str | None = None
    target: float = 0.0

    @property
    def missed(self) -> bool:
        """Whether the interval of the ratio ends below the target."""
        return self.ratio is not None and self.ratio.high < self.target


@dataclass(frozen=True)
class RowRecord:
    """One row; ``base`` is the label of the entrant that the ratios refer to, None if ours could not be timed."""

    group: str
    title: str
    unit: str
    base: str | None
    entrants: tuple[EntrantRecord, ...]

    def of(self, name: str) -> EntrantRecord | None:
        """The timed entrant of that role, peer or label; "best" is the quickest peer."""
        timed = [entrant for entrant in self.entrants if entrant.ratio]
        if name == "best":
            peers = [entrant for entrant in timed if entrant.role == "peer"]
            return min(peers, key=lambda entrant: entrant.ratio.median if entrant.ratio else 0.0, default=None)
        return next((e for e in timed if name in (e.role, e.peer, e.label)), None)

    @property
    def failure(self) -> str | None:
        """What went wrong with ours, if anything did."""
        own = (entrant for entrant in self.entrants if entrant.peer.startswith("tidegate"))
        return next((f"{entrant.label}: {entrant.note}" for entrant in own if entrant.note), None)


@dataclass(frozen=True)
class VerdictRecord:
    """One line of "What it must reach"; ``met`` is None where nothing was measured."""

    work: str
    target: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class FirstCallRecord:
    """Seconds to the first result of a user's own cell: with an empty cache, then in a new process."""

    cold: float
    warm: float


@dataclass(frozen=True)
class BenchRecord:
    """A whole run.

    Attributes:
        command: how it was started.
        date: in UTC.
        quick: a subset of the grid.
        machine: processor, cores, system, load when it began.
        versions: of every package that took part.
        rows: the measurements.
        first_call: of a user's own cell, None if not measured.
        memory: floats that training keeps per T * B * H, by the title of the item.
        verdicts: what the targets say of all that.
    """

    command: str
    date: str
    quick: bool
    seconds: float
    machine: dict[str, str]
    versions: dict[str, str]
    rows: tuple[RowRecord, ...]
    first_call: FirstCallRecord | None
    memory: dict[str, float]
    verdicts: tuple[VerdictRecord, ...]

    def to_json(self) -> str:
        """The record as JSON, one line for each row."""
        data = asdict(self)
        rows = ",\n".join(json.dumps(row) for row in data.pop("rows"))
        return f'{json.dumps(data, indent=1)[:-2]},\n "rows": [\n{rows}\n ]\n}}\n'
