"""Classification of series on official splits: ``python benchmarks/series_classification.py``.

Each set is trained by the default command with each seed. Rows are written one by one and kept, so that an
interrupted benchmark goes on where it stopped. Data lie in ``../shared/data/series_classification``, or in
the folder that the variable SERIES names; what is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SERIES", ROOT.parent / "shared" / "data" / "series_classification"))
RESULTS = ROOT / "benchmarks" / "results"
SETS = ("ArrowHead", "GunPoint", "ItalyPowerDemand", "BasicMotions", "JapaneseVowels")
OTHERS = ("layers alone", "votes alone", "random convolutions", "linear", "1-NN DTW")
ONE_SD = 0.9944579  # quantile of a normal variable within which, on both sides, lie 68 %

NOTE = """\
`python benchmarks/series_classification.py`: official test parts, and no option but the seed. Accuracy and log loss are
means over the seeds, with the standard deviation of the model's accuracy. Random convolutions are MiniRocket with ridge
regression, linear is logistic regression on 64 steps, and both are chosen on series held out. The aim is the accuracy
of the best baseline less the larger of one test series and Wilson's half-width at 68 %. Seconds are of processor time,
baselines included."""


def measured(name: str, seed: int) -> dict[str, str]:
    """A row: the scores of one training."""
    with tempfile.TemporaryDirectory() as folder:
        out, before = Path(folder) / "model", _seconds()
        files = [str(DATA / f"{name}_TRAIN.ts"), "--test", str(DATA / f"{name}_TEST.ts")]
        command = [sys.executable, "-m", "tidegate", "train", "classification", *files]
        subprocess.run([*command, "--seed", str(seed), "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
        card = json.loads((out / "model.json").read_text())
    row = {"set": name, "seed": str(seed), "epochs": str(len(card["curve"])), "seconds": f"{_seconds() - before:.0f}"}
    for score in card["scores"]:
        if score["name"] in ("accuracy", "NLL"):
            values = {"model": score["value"], **score["parts"], **score["baselines"]}
            row |= {f"{score['name']}: {who}": f"{value:.5f}" for who, value in values.items()}
    return row


def _seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def wilson(share: float, count: int) -> float:
    """Half the width of Wilson's interval of a share at 68 %."""
    square = ONE_SD**2
    return ONE_SD / (1 + square / count) * (share * (1 - share) / count + square / (4 * count**2)) ** 0.5


def lines(rows: list[dict[str, str]]) -> Iterator[str]:
    """The table in Markdown."""
    yield from ("# Classification of series", "", NOTE, "")
    heads = ("set", "seeds", "model", *OTHERS, "aim", "reached", "seconds")
    yield f"| {' | '.join(heads)} |"
    yield f"|---{'|---:' * (len(heads) - 1)}|"
    for name in SETS:
        mine = [row for row in rows if row["set"] == name]
        if mine:
            yield _line(name, mine)


def _line(name: str, rows: list[dict[str, str]]) -> str:
    def mean(column: str) -> float:
        return statistics.fmean(float(row[column]) for row in rows)

    def cell(who: str) -> str:
        loss = f" / {mean(f'NLL: {who}'):.3f}" if rows[0].get(f"NLL: {who}") else ""
        return f"{mean(f'accuracy: {who}'):.4f}{loss}"

    baselines = [column for column in rows[0] if column.startswith("accuracy") and _rival(column) and rows[0][column]]
    best, tests = max(map(mean, baselines)), _tests(name)
    aim = best - max(1 / tests, wilson(best, tests))
    values = [float(row["accuracy: model"]) for row in rows]
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    accuracy, _, loss = cell("model").partition(" / ")
    reached = "yes" if statistics.fmean(values) >= aim else "**no**"
    cells = [name, len(rows), f"**{accuracy}**{spread} / {loss}", *map(cell, OTHERS), f"{aim:.4f}", reached]
    return "| " + " | ".join(map(str, [*cells, f"{mean('seconds'):.0f}"])) + " |"


def _rival(column: str) -> bool:
    return column.partition(": ")[2] not in ("model", "layers alone", "votes alone")


def _tests(name: str) -> int:
    text = (DATA / f"{name}_TEST.ts").read_text(encoding="utf-8")
    return len(text.partition("@data")[2].split())


def main() -> None:
    """Measure what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    options = parser.parse_args()
    path = RESULTS / "series_classification.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    for seed in range(options.seeds):
        for name in options.sets:
            if not (DATA / f"{name}_TRAIN.ts").exists():
                print(f"{name} is not in {DATA}")
            elif not any(row["set"] == name and row["seed"] == str(seed) for row in rows):
                rows.append(measured(name, seed))
                _write(path, rows)
                print(rows[-1], flush=True)
    (RESULTS / "series_classification.md").write_text("\n".join(lines(rows)) + "\n", encoding="utf-8")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
