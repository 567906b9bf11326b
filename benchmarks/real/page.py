"""The rows as a page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.engine.machine import cores, processor
from benchmarks.engine.markdown import duration

Row = dict[str, Any]
NOT_HAD = {"Neural Amp Modeler, lstm.nam": "no package ships a trained one; ../ship/targets.md has that of its core"}
LIBRARIES = ("torch", "onnxruntime", "numpy", "jax", "keras")
HEAD = (
    *("network", "layers", "threads", "work", "weights", "lines of glue", "the other side"),
    *("differs by (largest value)", "theirs", "ours", "ratio (range)"),
)
HOW = """\
Each network is loaded into our layers with the lines that a user has to write (`benchmarks/real`; 1 is the call itself:
`tg.convert.read`, `load` or `accelerate`) and runs on the fused path. Its outputs are first held against the other
side's; then both take turns, and a ratio is their time over ours in the same round: **above 1, Tidegate is faster**. It
is the median of the rounds, in brackets stand the least and the most. Times are medians of one call."""


def page(rows: Sequence[Row]) -> str:
    """The table, and below it what must be known of a row."""
    timed = [row for row in rows if not row["reason"]]
    loads = [row["load"] for row in rows]
    notes = {row["name"]: row["note"] for row in timed if row["note"]}
    packages = sorted({row["package"] for row in timed}, key=str.casefold)
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    busy = " Other work ran at the same time, so a difference of a fifth means nothing." if max(loads) > cores() else ""
    lines = [
        "# Public models with trained weights\n",
        "`python -m benchmarks.real_models`\n",
        f"{processor()}; {libraries}; load of the machine from {min(loads)} to {max(loads)}.{busy}\n",
        f"{HOW}\n",
        *_table([line(row) for row in rows] + [_absent(name, reason) for name, reason in NOT_HAD.items()]),
        "",
        *(f"- {name}: {note}." for name, note in notes.items()),
        "",
        f"{len(timed)} rows of {len(packages)} packages: {', '.join(packages)}.",
    ]
    return "\n".join(lines) + "\n"


def line(row: Row) -> list[str]:
    """The cells of a row."""
    if row["reason"]:
        return _absent(row["name"], row["reason"])
    ratio = row["ratio"]
    return [
        *(row["name"], row["cells"], str(row["threads"]), row["work"], row["source"], str(row["glue_lines"])),
        *(row["judge"], f"{row['error']:.0e} ({row['largest']:.3g})", duration(row["theirs"]), duration(row["ours"])),
        f"**{ratio['median']:.2f}** ({ratio['least']:.2f} to {ratio['most']:.2f})",
    ]


def _absent(name: str, reason: str) -> list[str]:
    return [name, f"not run: {reason}", *[""] * (len(HEAD) - 2)]


def _table(body: Sequence[Sequence[str]]) -> list[str]:
    rows = [HEAD, ["---"] * len(HEAD), *body]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
