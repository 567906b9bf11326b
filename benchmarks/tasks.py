"""Each task on its data set, by the shell command a user would give: ``python benchmarks/tasks.py``.

A model that is there already (in the work folder) is read instead of trained again, so that the table can be
completed in pieces. Data that are not bundled lie in ``../shared/data``; what is not there is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Run:
    """One row: the arguments of ``tidegate train``; ``published`` is a figure of others with its source.

    Rows of more than about three minutes run once. Of more than one seed, the table has the mean and the spread,
    tasks.json all values.
    """

    name: str
    arguments: str
    published: str = ""
    seeds: int = 3

    @property
    def missing(self) -> str:
        paths = [word for word in shlex.split(self.arguments) if word.startswith("shared/")]
        return next((path for path in paths if not (SHARED / path.removeprefix("shared/")).exists()), "")

    def command(self, out: Path) -> list[str]:
        words = [
            str(SHARED / word.removeprefix("shared/")) if word.startswith("shared/") else word
            for word in shlex.split(self.arguments)
        ]
        return [sys.executable, "-m", "tidegate", "train", *words, "--out", str(out)]


NOTE = """\
`python benchmarks/tasks.py`: the command as a user gives it, all scores on the test split. One run with seed
0, or the mean and the standard deviation (±) over as many seeds as stand behind.
Paths that begin with `shared/` are data that may not be redistributed. Minutes are of processor time over all threads:
other work ran on the two cores at the same time."""

BAI = "arXiv 1803.01271, Table 1"
NADE = "arXiv 1206.6392, Table 1"
ARCHIVE = "shared/series_classification"
TEXTS = "shared/text_classification"
RUNS = [
    Run("characters", "language shakespeare", seeds=1),
    Run("pieces", "language shakespeare --unit piece --tied --embedding-size 256 --dropout 0.5 --epochs 20", seeds=1),
    Run("English to French", "translation tatoeba"),
    Run("English to German", "translation shared/translation --source-column en --target-column de", seeds=1),
    Run("pronunciation, a sixth", "translation cmudict", seeds=1),
    Run(
        "pronunciation",
        "translation shared/g2p/cmudict.dict --hidden-size 256 --learning-rate 2e-3 --dropout 0.2 --epochs 16",
        "PER 5.45, WER 23.55: LSTM, another split (arXiv 1506.00196)",
        seeds=1,
    ),
    Run("parts of speech", "tagging atis"),
    *(Run(f"names, split {k}", f"classification names --split-seed {k}") for k in range(3)),
    Run(
        "sentiment",
        f"classification {TEXTS}/stsa.binary.train --valid {TEXTS}/stsa.binary.dev --test {TEXTS}/stsa.binary.test "
        "--learning-rate 1.5e-3",
        "0.863: two layers of LSTM, pretrained word vectors (arXiv 1503.00075)",
        seeds=5,
    ),
    Run(
        "questions",
        f"classification {TEXTS}/TREC.train.all --test {TEXTS}/TREC.test.all --encoding latin-1 --label-end :",
    ),
    *(
        Run(name, f"classification {ARCHIVE}/{name}_TRAIN.ts --test {ARCHIVE}/{name}_TEST.ts")
        for name in ("JapaneseVowels", "BasicMotions", "GunPoint", "ItalyPowerDemand", "ArrowHead")
    ),
    Run("El Niño", "forecast elnino --time month --horizon 12 --quantiles 0.1 0.5 0.9"),
    Run(
        "ETTh1",
        "forecast shared/series/ETTh1.csv --target OT --time date --horizon 96 --quantiles 0.1 0.5 0.9 "
        "--valid-share 0.2 --test-share 0.2",
    ),
    Run("digits", "speech fsdd"),
    Run("strings of digits", "speech fsdd --join 7 --batch-size 8"),
    Run("chorales", "music jsb", f"RNN-NADE 5.56, RNN-RBM 6.27 ({NADE})"),
    Run("chorales, keys by themselves", "music jsb --nade-size 0", f"LSTM 8.45, GRU 8.43 ({BAI})"),
    Run("folk tunes", "music shared/music/Nottingham.mat", f"RNN-NADE 2.31, RNN-RBM 2.39 ({NADE})", seeds=1),
    Run(
        "folk tunes, keys by themselves",
        "music shared/music/Nottingham.mat --nade-size 0",
        f"LSTM 3.29, GRU 3.46 ({BAI})",
        seeds=1,
    ),
]


def ran(run: Run, work: Path) -> dict:
    """The scores of a run with all values of its seeds, trained now unless they are there."""
    first, *others = (_trained(run, work, seed) for seed in range(run.seeds))
    for k, score in enumerate(first["scores"]):
        score["values"] = [score["value"], *(other["scores"][k]["value"] for other in others)]
    return first


def _trained(run: Run, work: Path, seed: int) -> dict:
    out = work / (run.name.replace(" ", "-").replace(",", "") + (f"-seed-{seed}" if seed else ""))
    record = out / "minutes.json"
    if not record.exists():
        start, before = time.monotonic(), _processor_seconds()
        subprocess.run([*run.command(out), *(["--seed", str(seed)] if seed else [])], check=True)
        spent = {"minutes": time.monotonic() - start, "processor_minutes": _processor_seconds() - before}
        record.write_text(json.dumps({name: seconds / 60 for name, seconds in spent.items()}))
    card = json.loads((out / "model.json").read_text())
    return {
        "name": run.name,
        "command": f"tidegate train {run.arguments}",
        "published": run.published,
        "data": card["data"]["name"],
        "scores": card["scores"],
        "epochs": len(card["curve"]),
        **json.loads(record.read_text()),
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(rows: list[dict], left_out: list[str]) -> str:
    lines = [
        "# Each task, on its data set",
        "",
        NOTE,
        "",
        "| task | score | model | baselines | better | published | minutes | command |",
        "|---|---|---:|---|---|---|---:|---|",
    ]
    for row in rows:
        for k, score in enumerate(row["scores"]):
            rivals = ", ".join(f"{name} {value:.4g}" for name, value in score["baselines"].items())
            first = (
                (row["published"], f"{row['processor_minutes']:.1f}", f"`{row['command']}`") if k == 0 else ("", "", "")
            )
            unit = f" ({score['unit']})" if score["unit"] not in ("", score["name"]) else ""
            cells = (
                row["name"] if k == 0 else "",
                (score["name"] + unit).replace("|", "\\|"),
                _said(score["values"]),
                rivals,
                score["better"],
            )
            lines.append("| " + " | ".join([*cells, *first]) + " |")
    lines += [""] + [f"Left out, since the data are not here: {name}." for name in left_out]
    return "\n".join(lines).rstrip() + "\n"


def _said(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.4g}"
    return f"{statistics.mean(values):.4g} ± {statistics.stdev(values):.2g} ({len(values)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="rows whose name holds this text")
    parser.add_argument("--work", type=Path, default=Path("tidegate-tasks"), help="folder of the models")
    options = parser.parse_args()
    chosen = [run for run in RUNS if options.only in run.name]
    rows = [ran(run, options.work) for run in chosen if not run.missing]
    text = table(rows, [run.name for run in chosen if run.missing])
    print(text)
    if not options.only:
        (ROOT / "benchmarks" / "results" / "tasks.md").write_text(text)
        (ROOT / "benchmarks" / "results" / "tasks.json").write_text(
            json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
        )
        # Some of these rows stand in the table of published rows too.
        subprocess.run([sys.executable, "-m", "benchmarks.reproduce", "table"], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
