"""Sparse, heads or low rank: which loses least at equally many weights that are not zero?

    python -m benchmarks.lean.equal_nonzeros                    # an hour of one core; it goes on where it was stopped
    python -m benchmarks.lean.equal_nonzeros --only digits --seeds 2 --epochs 1
    python -m benchmarks.lean.equal_nonzeros --output benchmarks/results/lean

`tidegate compare` with five seeds on characters (bundled Shakespeare, passages of 150,000 symbols an epoch) and on
spoken digits: a dense GRU, one with 20 % of its weights in blocks of 32, one with four heads, one of low rank. All have
as many weights that are not zero, so that the dense one is the smallest. A second comparison, with the same seeds,
trains the dense GRU that has as many units as the sparse one, thus several times the weights. The verdicts are the
protocol's own; pairs across both comparisons are judged by the same test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine import processor

from tidegate import compare, report, tasks, zoo
from tidegate.compare import Spec
from tidegate.compare.answer import said_of
from tidegate.compare.budget import count_parameters
from tidegate.compare.statistic import pairs
from tidegate.records import CellRecord, ComparisonRecord, RunRecord
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.speech.setting import SpeechSetting
from tidegate.train.setting import Training

DENSITY, HEADS, RANK = 0.2, 4, 32
CELLS = {
    "dense": Spec("gru"),
    "sparse": Spec("gru", density=DENSITY),
    "heads": Spec("gru", heads=HEADS),
    "low rank": Spec("gru", rank=RANK),
}
LARGE = "dense, as many units as sparse"


class Problem(NamedTuple):
    """What is learnt, and with how many weights."""

    data: str
    setting: Training
    weights: int


PROBLEMS = {
    "characters": Problem("shakespeare", LanguageSetting(epoch_size=150_000, scored_size=50_000), 60_000),
    "digits": Problem("fsdd", SpeechSetting(epochs=20), 30_000),
}


class Count(compare.Progress):
    """Says which runs have finished."""

    def finish(self, record: RunRecord) -> None:
        score = "diverged" if record.test is None else f"{record.test:.4f}"
        print(f"{record.cell} seed {record.seed}: {score}, {record.train_seconds:.0f} s", flush=True)


def compared(name: str, seeds: int, workers: int, epochs: int | None, folder: Path) -> Iterator[ComparisonRecord]:
    """The comparison at equal non-zeros, and that of the large dense layer alone; each writes its report."""
    problem = PROBLEMS[name]
    recipe = replace(problem.setting, epochs=epochs or problem.setting.epochs)
    task = tasks.load(problem.data, setting=recipe)
    shared = {"seeds": seeds, "workers": workers, "progress": Count()}
    lean = compare.run(task, CELLS, folder=folder / name, parameters=problem.weights, **shared)
    yield written(lean, folder / name)
    units = next(cell.hidden_size for cell in lean.cells if cell.name == "sparse")
    weights = count_parameters(task, zoo.GRU.graph, units)
    place = folder / f"{name}-large"
    yield written(compare.run(task, {LARGE: "gru"}, folder=place, parameters=weights, **shared), place)


def written(record: ComparisonRecord, folder: Path) -> ComparisonRecord:
    report.write_html(record, folder / "report.html")
    report.write_json(record, folder / "report.json")
    report.write_runs_csv(record.runs, folder / "runs.csv")
    return record


def section(name: str, lean: ComparisonRecord, large: ComparisonRecord) -> Iterator[str]:
    """What came of one problem, as Markdown."""
    yield f"## {name.capitalize()}: {lean.data.name}, {lean.metric}"
    yield ""
    yield "| GRU | units | weights not zero | operations a step | mean | 95 % interval |"
    yield "|---|---|---|---|---|---|"
    yield from map(line, sorted([*lean.cells, *large.cells], key=lambda cell: cell.mean or 0))
    yield ""
    yield f"The answer: {lean.answer.headline}"
    yield ""
    yield from (f"- {said}" for said in lean.answer.reasons)
    scores: dict[str, dict[int, float]] = {}
    for run in (*lean.runs, *large.runs):
        scores.setdefault(run.cell, {})[run.seed] = run.test if run.test is not None else float("inf")
    yield from (f"- {said_of(pair)}" for pair in pairs(scores) if LARGE in (pair.a, pair.b))
    yield ""


def line(cell: CellRecord) -> str:
    interval = "-" if cell.low is None else f"{cell.low:.4g} to {cell.high:.4g}"
    mean = "-" if cell.mean is None else f"{cell.mean:.4g}"
    counts = f"{cell.hidden_size} | {cell.parameters:,} | {cell.flops_per_step:,}"
    return f"| {cell.name} | {counts} | {mean} | {interval} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/equal_nonzeros"))
    parser.add_argument("--output", type=Path, help="folder for equal_nonzeros.md")
    options = parser.parse_args()
    how = (
        f"{processor()}; `python -m benchmarks.lean.equal_nonzeros`, {options.seeds} seeds. sparse: density {DENSITY}, "
    )
    how += f"blocks of 32; heads: {HEADS}; low rank: rank {RANK}. Lower is better."
    lines = ["# GRUs at equally many weights that are not zero", "", how, ""]
    for name in [options.only] if options.only else PROBLEMS:
        lean, large = compared(name, options.seeds, options.workers, options.epochs, options.folder)
        lines += section(name, lean, large)
    print("\n".join(lines))
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "equal_nonzeros.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
