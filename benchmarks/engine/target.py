"""What the engine must reach, and what a run says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.engine.grid import ONE_THREAD
from benchmarks.engine.peer.ceiling import Peak
from benchmarks.engine.record import FirstCallRecord, RowRecord, VerdictRecord
from benchmarks.engine.statistic import Ratio, geometric_mean, inverse

STEP_SECONDS = 5e-6  # what a step may take beyond the matrix-vector product
COLD_SECONDS = 15.0
KEPT_FLOATS = 6.0  # per T * B * H
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Demand:
    """A target for the ratios of some rows.

    Attributes:
        work, target: as printed.
        groups: the tables whose rows count.
        against: who is compared with ours: a role, a peer, or "best" for the quickest peer.
        least: their time over ours must reach it in every row: no 95 % interval lies wholly below.
        mean: the geometric mean of the rows' medians must reach it.
        most: our time over theirs must not exceed it in any row: no interval lies wholly above. It stands alone, and
            the ratios are then shown that way round.
    """

    work: str
    target: str
    groups: tuple[str, ...]
    against: str
    least: float = 0.0
    mean: float = 0.0
    most: float = 0.0

    def judge(self, rows: Sequence[RowRecord]) -> VerdictRecord:
        """Compare the rows with the demand; a row in which ours failed is a demand not met."""
        chosen = [row for row in rows if row.group in self.groups]
        failures = [row for row in chosen if row.failure]
        found = [(entrant.ratio, row) for row in chosen if (entrant := row.of(self.against)) and entrant.ratio]
        if failures:
            return VerdictRecord(self.work, self.target, f"{len(failures)} rows failed", met=False)
        if not found:
            return VerdictRecord(self.work, self.target, NOT_MEASURED, met=None)
        if self.most:
            found = [(inverse(ratio), row) for ratio, row in found]
        mean = geometric_mean([ratio.median for ratio, _ in found])
        return VerdictRecord(self.work, self.target, self._measured(found, mean), self._met(found, mean))

    def _met(self, found: Sequence[tuple[Ratio, RowRecord]], mean: float) -> bool:
        if self.most:
            return all(ratio.low <= self.most for ratio, _ in found)
        return mean >= self.mean and all(ratio.high >= self.least for ratio, _ in found)

    def _measured(self, found: Sequence[tuple[Ratio, RowRecord]], mean: float) -> str:
        """The geometric mean, the range of the medians, and the worst row."""
        medians = [ratio.median for ratio, _ in found]
        worst, row = (max if self.most else min)(found, key=lambda pair: pair[0].median)
        spread = f"{mean:.2f} ({min(medians):.2f} to {max(medians):.2f}, {len(found)} rows); " if len(found) > 1 else ""
        return f"{spread}worst {worst.median:.2f} [{worst.low:.2f}, {worst.high:.2f}]: {row.title}"


def _groups(cells: str, modes: str) -> tuple[str, ...]:
    return tuple(f"{cell} {mode}" for cell in cells.split() for mode in modes.split())


CORE = _groups("lstm gru rnn", "inference training")
UNITS = ("unit by unit inference", "unit by unit training")
DEMANDS = (
    Demand("LSTM inference", "best peer: never below 1.0, mean 1.3", ("lstm inference",), "best", 1.0, 1.3),
    Demand("LSTM training", "best peer: never below 1.0, mean 1.5", ("lstm training",), "best", 1.0, 1.5),
    Demand("GRU, RNN training", "torch.nn: mean 3.0", _groups("gru rnn", "training"), "torch.nn", mean=3.0),
    Demand("GRU, RNN training", "best peer: never below 1.2", _groups("gru rnn", "training"), "best", 1.2),
    Demand(
        "GRU, RNN inference", "best peer: never below 1.0, mean 1.3", _groups("gru rnn", "inference"), "best", 1.0, 1.3
    ),
    Demand("derived cells", "time per FLOP over our LSTM's: at most 1.25", ("derived cells",), "yardstick", most=1.25),
    Demand("derived cells", "our eager path: at least 4", ("derived cells",), "eager", 4.0),
    Demand("layer norm", "time per FLOP over our LSTM's: at most 1.25", ("layer norm",), "yardstick", most=1.25),
    Demand("layer norm", "our eager path: at least 4", ("layer norm",), "eager", 4.0),
    Demand(
        "a user's own cell", "time over the zoo's twin: at most 1.05", ("a user's own cell",), "yardstick", most=1.05
    ),
    Demand(
        "ragged batch", "time per token over a full batch's: at most 1.15", ("ragged batches",), "yardstick", most=1.15
    ),
    Demand("float64", "torch.nn: at least 2", ("float64",), "torch.nn", 2.0),
    Demand("unit by unit", "best peer: never below 1.0, mean 1.5", UNITS, "best", 1.0, 1.5),
    Demand("unit by unit", "torch.mm of the same products: at least 0.9", UNITS, "torch.mm", 0.9),
    Demand("unit by unit, B = 1", "our LSTM: at least 5", UNITS, "our LSTM", 5.0),
    Demand("unit by unit, B = 1", "2 threads against one: at least 1.7", UNITS, ONE_THREAD, 1.7),
    Demand("cells in a loop", "torch's cells: never below 1.0", ("cells in a loop",), "best", 1.0),
    Demand("short calls, both directions", "best peer: never below 1.0", ("short calls",), "best", 1.0),
    Demand("H >= 256, B >= 32", f"share of the {Peak.name}: at least 0.8", CORE, Peak.name, 0.8),
    Demand("cost growth", "time per token at 4 x T or B: at most 1.1", ("cost growth",), "yardstick", most=1.1),
)


BUSY = (
    Demand("busy machine", "our time over ours on one thread: at most 1.3", (*CORE, *UNITS), ONE_THREAD, most=1.3),
    Demand("busy machine", "torch.nn: at least 0.9", CORE, "torch.nn", 0.9),
)


def verdicts_when_busy(rows: Sequence[RowRecord]) -> tuple[VerdictRecord, ...]:
    """What is asked beside competing loops."""
    return tuple(demand.judge(rows) for demand in BUSY)


def verdicts_in_half(rows: Sequence[RowRecord]) -> tuple[VerdictRecord, ...]:
    """What rows of half precision and int8 ask for, by group and contestant."""
    asked = dict.fromkeys((row.group, e.label, e.target) for row in rows for e in row.entrants if e.target)
    return tuple(
        Demand(group, f"{label}: never below {target:g}", (group,), label, target).judge(
            [row for row in rows if any((e.label, e.target) == (label, target) for e in row.entrants)]
        )
        for group, label, target in asked
    )


def verdicts(
    rows: Sequence[RowRecord], first_call: FirstCallRecord | None, memory: Mapping[str, float]
) -> tuple[VerdictRecord, ...]:
    """Every target, line by line."""
    judged = [demand.judge(rows) for demand in DEMANDS]
    return (*judged, *_steps(rows), _first_call(first_call), _memory(memory))


def _steps(rows: Sequence[RowRecord]) -> Iterator[VerdictRecord]:
    for row in (row for row in rows if row.group == "one step"):
        work, target = f"one step ({row.title})", "session: matrix-vector time + 5 us"
        session, product = row.of("tidegate session"), row.of("matrix-vector")
        if not (session and product):
            yield VerdictRecord(work, target, "session not available", met=None)
            continue
        took, least = median(session.times), median(product.times)
        yield VerdictRecord(
            work, target, f"{took * 1e6:.1f} us, product {least * 1e6:.1f} us", met=took <= least + STEP_SECONDS
        )


def _first_call(found: FirstCallRecord | None) -> VerdictRecord:
    work, target = "a user's own cell", f"first result within {COLD_SECONDS:.0f} s, then from disk"
    if found is None:
        return VerdictRecord(work, target, NOT_MEASURED, met=None)
    measured = f"{found.cold:.2f} s, in the next process {found.warm:.2f} s"
    return VerdictRecord(
        work, target, measured, met=found.cold <= COLD_SECONDS and found.warm <= max(1.0, found.cold / 4)
    )


def _memory(found: Mapping[str, float]) -> VerdictRecord:
    work, target = "memory of training, LSTM", f"at most {KEPT_FLOATS:.0f} T B H floats"
    if not found:
        return VerdictRecord(work, target, NOT_MEASURED, met=None)
    measured = ", ".join(f"{floats:.2f} ({title})" for title, floats in found.items())
    return VerdictRecord(work, target, measured, met=max(found.values()) <= KEPT_FLOATS)
