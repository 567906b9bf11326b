"""What was found, as a table and as a figure."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from .case import Case, listed, read, results_of
from .row import ROWS, Row

INTRODUCTION = """# Published rows, run again

Written by `python -m benchmarks.reproduce table` from `reproduce/*.jsonl`, which `python -m benchmarks.reproduce ROW
--seeds N` makes. Ours is the mean over seeds of the test score of the epoch that validated best, the spread its
standard deviation. Minutes are of one process with one thread on a machine busy with other work: an upper bound."""
COLUMNS = ("case", "ours", "spread", "seeds", "published", "parameters", "minutes")
COMMANDED = {
    "pronunciation": ("PER", "WER"),
    "English to German": ("BLEU", "chrF"),
    "digits": ("WER",),
    **dict.fromkeys(("sentiment", "questions", "JapaneseVowels", "BasicMotions"), ("accuracy",)),
    "ETTh1": ("MAE/sd",),
}
COLOURS = ("#28608f", "#b5481b", "#4b8b3b")


def write_table(results: Path) -> None:
    """``reproduce.md`` and the learning curves of the adding problem, beside the folder of the results."""
    parts = [_section(name, row, read(results / f"{name}.jsonl")) for name, row in ROWS.items()]
    parts.append(_by_command(results.parent / "tasks.json"))
    (results.parent / "reproduce.md").write_text("\n\n".join([INTRODUCTION, *parts]) + "\n", encoding="utf-8")
    _draw(ROWS["adding200"], read(results / "adding200.jsonl"), results.parent / "adding.svg")


def _section(name: str, row: Row, records: list[dict[str, Any]]) -> str:
    lines = [_line(case, list(results_of(case, records))) for case in row.cases]
    said = "" if not row.remark else f"\n\n{row.remark}"
    extra = row.reading(records) if row.reading and records else ""
    return f"## {row.title}\n\n`{name}`; published: {row.source}\n\n{listed(COLUMNS, lines)}{said}{extra}"


def _line(case: Case, runs: list[dict[str, Any]]) -> str:
    if not runs:
        return f"| {case.name} | not run yet | | 0 | {case.published} | | |"
    scores = [run["scores"][case.score] if case.score else next(iter(run["scores"].values())) for run in runs]
    spread = f"{statistics.stdev(scores):.2g}" if len(scores) > 1 else ""
    minutes = statistics.mean(run["seconds"] for run in runs) / 60
    return (
        f"| {case.name} | {statistics.mean(scores):.4g} | {spread} | {len(runs)} | {case.published} | "
        f"{runs[0]['parameters']:,} | {minutes:.1f} |"
    )


def _by_command(path: Path) -> str:
    """Rows 7 and 8, which `benchmarks/tasks.py` measured by the commands that users give."""
    columns = ("data", "score", "ours", "spread", "seeds", "best baseline", "published", "minutes")
    rows = {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))}
    lines = [line for name, scores in COMMANDED.items() for line in _scored(name, scores, rows.get(name))]
    where = "`python benchmarks/tasks.py`, which has the commands."
    return f"## By the commands of users\n\n{where}\n\n{listed(columns, lines)}"


def _scored(name: str, scores: tuple[str, ...], row: dict[str, Any] | None) -> list[str]:
    if row is None:
        return [f"| {name} | not run yet | | | 0 | | | |"]
    lines = []
    for score in (one for one in row["scores"] if one["name"] in scores):
        pick = max if score["better"] == "higher" else min
        rival = pick(score["baselines"], key=score["baselines"].get)
        values = score["values"]
        spread = f"{statistics.stdev(values):.2g}" if len(values) > 1 else ""
        lines.append(
            f"| {name} | {score['name']} | {statistics.mean(values):.4g} | {spread} | {len(values)} | "
            f"{rival} {score['baselines'][rival]:.4g} | {row['published'] or '-'} | {row['processor_minutes']:.1f} |"
        )
    return lines


def _draw(row: Row, records: list[dict[str, Any]], path: Path) -> None:
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for case, colour in zip(row.cases, COLOURS, strict=True):
        for place, run in enumerate(results_of(case, records)):
            batches = case.setting.steps * np.arange(1, len(run["curve"]) + 1)
            axes.plot(batches, run["curve"], color=colour, label=case.name if place == 0 else None, linewidth=1)
    axes.axhline(1 / 6, color="#888888", linestyle="--", linewidth=1)
    axes.annotate("always 1", (0, 1 / 6), xytext=(2, -10), textcoords="offset points", color="#666666", fontsize=8)
    axes.set(xlabel="batches of 32", ylabel="mean squared error, validation", yscale="log", title=row.title)
    if records:
        axes.legend()
    with mpl.rc_context({"svg.hashsalt": path.name}):  # the same figure is the same file
        figure.savefig(path, metadata={"Date": None})
