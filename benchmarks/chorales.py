"""Which of LSTM and GRU for the chorales, and does the answer hold?

    python benchmarks/chorales.py                 # hours; stopped at any moment, it goes on from there
    python benchmarks/chorales.py --trials 1      # without tuning, half an hour on two cores

Compares the two with equally many parameters, tuned alike, with five seeds and then with ten, of which the first five
are the same runs. Then trains each by ``tidegate train`` itself with another seed, and the size and settings that most
runs chose. Says whether anything contradicts anything: two winners, or a winner that is worse in the paired run.
Writes results/chorales.md.
"""

import argparse
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tidegate import compare
from tidegate.records import ComparisonRecord, RunRecord

RESULTS = Path(__file__).parent / "results" / "chorales.md"
CELLS = ("lstm", "gru")
SEEDS = (5, 10)
TUNED = ("layers", "hidden_size", "recurrent_dropout", "learning_rate")


class Count(compare.Progress):
    """Says which runs have finished."""

    def finish(self, record: RunRecord) -> None:
        score = "diverged" if record.test is None else f"{record.test:.4f}"
        print(f"{record.cell} seed {record.seed}: {score}, {record.train_seconds:.0f} s", flush=True)


def train(folder: Path, cell: str, runs: list[RunRecord], seed: int) -> float:
    """The test score of ``tidegate train`` with the settings that most runs chose."""
    chosen = Counter(tuple(getattr(run, name) for name in TUNED) for run in runs).most_common(1)[0][0]
    flags = [
        text for name, value in zip(TUNED, chosen, strict=True) for text in (f"--{name.replace('_', '-')}", str(value))
    ]
    flags += ["--nade-size", "0"]  # keys by themselves, as a comparison has them
    command = ["train", "music", "jsb", "--cell", cell.lower(), *flags, "--seed", str(seed), "--out", str(folder)]
    if not (folder / "model.json").exists():
        subprocess.run([sys.executable, "-m", "tidegate", *command], check=True)  # resumes what was interrupted
    scores = json.loads((folder / "model.json").read_text(encoding="utf-8"))["scores"]
    return float(scores[0]["value"])


def line(record: ComparisonRecord, seeds: int) -> str:
    """A row of the table."""
    (pair,) = record.pairs
    means = " | ".join(f"{cell.mean:.4f}" for cell in record.cells)
    gap = f"{pair.difference:+.4f} ({pair.low:+.4f} to {pair.high:+.4f})"
    return f"| {seeds} seeds | {means} | {gap} | {record.answer.headline} |"


def contradictions(records: list[ComparisonRecord], gap: float) -> list[str]:
    """What contradicts what; ``gap`` is the difference of the paired run of train."""
    winners = {record.answer.winner for record in records} - {None}
    found = [f"The numbers of seeds name two winners, {' and '.join(sorted(winners))}."] if len(winners) > 1 else []
    (pair,) = records[-1].pairs
    better = pair.a if gap < 0 else pair.b
    return found + [f"{winner} wins, but {better} is better in the paired run." for winner in winners - {better}]


def expected(record: ComparisonRecord) -> str:
    """Where 19 of 20 further differences lie."""
    (pair,) = record.pairs
    half = (pair.high - pair.low) / 2 * (pair.seeds + 1) ** 0.5
    return f"{pair.difference - half:+.4f} to {pair.difference + half:+.4f}"


def main() -> int:
    """Exit code 1 if something contradicts something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("build/chorales"))
    options = parser.parse_args()
    settings = {"folder": options.folder, "trials": options.trials, "workers": options.workers}
    records = [compare.run("jsb", CELLS, seeds=seeds, progress=Count(), **settings) for seeds in SEEDS]
    named = [cell.name for cell in records[-1].cells]
    alone = [
        train(options.folder / f"{name}-{options.trials}", name, [r for r in records[-1].runs if r.cell == name], 100)
        for name in named
    ]
    rows = [line(record, seeds) for record, seeds in zip(records, SEEDS, strict=True)]
    gap = alone[0] - alone[1]
    further = f"expected {expected(records[-1])}"
    rows.append(f"| train, seed 100 | {alone[0]:.4f} | {alone[1]:.4f} | {gap:+.4f} | {further} |")
    wrong = contradictions(records, gap)
    text = [
        f"Chorales, {records[-1].metric} on the test split, {records[-1].protocol['budget']}.",
        f"Tuning: {records[-1].protocol['tuning']}.",
        "",
        f"| | {' | '.join(named)} | difference (95 % interval) | answer |",
        "|---|---|---|---|---|",
        *rows,
        "",
        *(wrong or ["Nothing contradicts anything."]),
    ]
    print("\n".join(text))
    RESULTS.write_text("\n".join(text) + "\n", encoding="utf-8")
    return len(wrong) > 0


if __name__ == "__main__":
    sys.exit(main())
