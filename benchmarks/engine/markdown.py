"""A run as a page of Markdown: the targets first, then a table for each group."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from benchmarks.engine.record import BenchRecord, EntrantRecord, RowRecord

MET = {True: "yes", False: "**no**", None: "-"}
PER = {"call": "", "token": " Ratios are of the time per token.", "flop": " Ratios are of the time per FLOP."}
HOW = """\
Every contestant has a process of its own, which is stopped while it is not its turn and may use as many cores as the
row has threads. What it computes, gradients included, is first held against float64. Then all take turns, in rounds of
shuffled order. A ratio is their time over ours in the same round: **above 1, Tidegate is faster**; in brackets the
95 % interval of its median over the rounds. FLOPs are those of the matrix products, training counts three times the
forward pass; a column of the peak has the time that they would take at it, so that its ratio is our share of the peak.
Rows are named T,B,I,H. With --thread-time, times are of the calling thread, else of the clock; those of all rounds are
in the JSON file."""


def page(record: BenchRecord) -> str:
    """The whole page."""
    kind = "quick subset" if record.quick else "full grid"
    facts = "; ".join(f"{name} {value}" for name, value in {**record.machine, **record.versions}.items())
    targets = [[v.work, v.target, v.measured, MET[v.met]] for v in record.verdicts]
    lines = [
        "# CPU benchmark\n",
        f"{record.date}, {kind}, {len(record.rows)} rows in {record.seconds / 60:.1f} minutes: `{record.command}`\n",
        f"{facts}.\n\n{HOW}\n",
        "## What it must reach\n",
        *_table(["work", "target", "measured", "met"], targets),
    ]
    for group in dict.fromkeys(row.group for row in record.rows):
        rows = [row for row in record.rows if row.group == group]
        lines += [f"\n## {group}\n", *_group(rows)]
    return "\n".join(lines) + "\n"


def duration(seconds: float) -> str:
    """Three figures and a unit that suits."""
    factor, unit = (1e6, "us") if seconds < 1e-4 else (1e3, "ms")
    return f"{seconds * factor:.3g} {unit}"


def _group(rows: Sequence[RowRecord]) -> list[str]:
    """A table of rows by contestants."""
    labels = list(dict.fromkeys(entrant.label for row in rows for entrant in row.entrants))
    body = []
    for row in rows:
        cells = {entrant.label: _cell(entrant, row) for entrant in row.entrants}
        body.append([row.title, *(cells.get(label, "") for label in labels)])
    note = PER[rows[0].unit].strip()
    return [*([f"{note}\n"] if note else []), *_table(["work", *labels], body)]


def _cell(entrant: EntrantRecord, row: RowRecord) -> str:
    if not entrant.times:
        return entrant.note or ""
    time = duration(median(entrant.times))
    if entrant.label == row.base or entrant.ratio is None:
        return time
    ratio = entrant.ratio
    missed = f" (below {entrant.target:g})" if entrant.missed else ""
    return f"{time} **{ratio.median:.2f}** [{ratio.low:.2f}, {ratio.high:.2f}]{missed}"


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rows = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
