"""Do peepholes help? LSTM against peephole LSTM at equal parameters.

    python -m benchmarks.peepholes                            # 20 minutes of one core; it goes on where it was stopped
    python -m benchmarks.peepholes --only elnino --seeds 5    # one problem, fewer seeds
    python -m benchmarks.peepholes --output benchmarks/results/peepholes

What was decided before the first run:

- **Question.** Gers, Schraudolph & Schmidhuber 2002 (JMLR 3, 115-143) gave the gates a view of the cell state, for
  tasks that need precise timing. Greff et al. 2017 (arXiv 1503.04069) left them out of an LSTM and saw no significant
  change on speech, handwriting and music. Who is right, and where?
- **Problems.** Two of timing, where peepholes are claimed to matter: the bundled problem ``timing``, in which a network
  measures the time between two spikes and fires a third as much later, with distances of 10 to 20 steps and of 25 to
  50. Three of ordinary data: forecasts of sea temperatures (elnino), chorales (jsb), names by nationality (names).
- **Cells.** ``LSTM`` and ``PeepholeLSTM`` of the zoo, equally many parameters as ``tidegate compare`` sizes them.
- **Tuning.** Each run trains with three learning rates: a third of the recipe's, the recipe's, three times it. The
  run that validates best is tested, once. The list is the same for both cells. Everything else is the recipe.
- **Seeds.** 10, or 5 where a run takes long; both cells see the same data in the same order at one seed.
- **Verdict.** The protocol's own, for each problem by itself: the paired t test at 0.05 and its sentence
  (docs/design/compare.md). Five problems are five tests: among five equal pairs one is called different in about one
  experiment of four, so the table also has Holm's correction over the five, and only what holds after it counts as a
  finding of this experiment.
- **Known before.** Sizes and epochs were chosen with seed 99, which is not used below, so that the LSTM learns the
  timing of 10 to 20 steps within its epochs; on that seed the peephole LSTM was the slower one. Two older results stand
  in this repository, at other settings: 5 seeds of the chorales at 300 units say that peepholes help
  (results/jsb_runs.csv), 10 seeds at 100 units that no difference can be told (results/reproduce.md, V and NP).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.engine import processor

from tidegate import compare, tasks
from tidegate.compare import Spec
from tidegate.compare.answer import said_of
from tidegate.compare.statistic import pairs
from tidegate.records import ComparisonRecord, PairRecord, RunRecord
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.tasks.forecast.setting import ForecastSetting
from tidegate.tasks.music.setting import MusicSetting
from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.train.setting import Training

CELLS = {"LSTM": "lstm", "PeepholeLSTM": "peepholelstm"}
FACTORS = (1 / 3, 1, 3)  # of the recipe's learning rate


class Problem(NamedTuple):
    """What is learnt, by which recipe, on how many seeds."""

    title: str
    data: str
    setting: Training
    seeds: int


def _timing(length: int, units: int, epochs: int) -> SyntheticSetting:
    return SyntheticSetting(
        length=length,
        hidden_size=units,
        learning_rate=1e-2,
        schedule="cosine",
        steps=50,
        epochs=epochs,
        patience=epochs,
    )


MUSIC = MusicSetting(
    nade_size=0, hidden_size=100, dropout=0.5, recurrent_dropout=0.3, learning_rate=4e-3, epochs=40, patience=40
)
NAMES = ClassificationSetting(steps=40, epochs=12, patience=12)
PROBLEMS = {
    "timing-20": Problem("timing, 10 to 20 steps", "timing", _timing(20, 8, 30), 10),
    "timing-50": Problem("timing, 25 to 50 steps", "timing", _timing(50, 16, 40), 5),
    "elnino": Problem("El Niño, one month ahead", "elnino", ForecastSetting(time="month"), 10),
    "jsb": Problem("JSB chorales", "jsb", MUSIC, 10),
    "names": Problem("names by nationality", "names", NAMES, 5),
}


class Verdict(NamedTuple):
    """What came of one problem."""

    title: str
    metric: str
    sizes: dict[str, tuple[int, int]]  # units and parameters
    means: dict[str, float]
    baseline: str
    pair: PairRecord


class Count(compare.Progress):
    """Says which runs have finished."""

    def finish(self, record: RunRecord) -> None:
        score = "diverged" if record.test is None else f"{record.test:.5f}"
        print(f"{record.cell} seed {record.seed}: {score}, {record.train_seconds:.0f} s", flush=True)


def compared(problem: Problem, seeds: int, folder: Path) -> ComparisonRecord:
    """Both cells with each learning rate."""
    specs = {
        f"{cell} {factor:.2g}": Spec(name, learning_rate=problem.setting.learning_rate * factor)
        for cell, name in CELLS.items()
        for factor in FACTORS
    }
    task = tasks.load(problem.data, setting=problem.setting)
    return compare.run(task, specs, folder=folder, seeds=seeds, trials=1, workers=1, progress=Count(), explain=False)


def chosen(record: ComparisonRecord, cell: str) -> dict[int, RunRecord]:
    """By seed, the run of a cell whose learning rate validated best."""
    best: dict[int, RunRecord] = {}
    for run in record.runs:
        if run.cell.split()[0] == cell and run.valid is not None:
            rival = best.get(run.seed)
            if rival is None or rival.valid is None or run.valid < rival.valid:
                best[run.seed] = run
    return best


def verdict(problem: Problem, record: ComparisonRecord) -> Verdict:
    runs = {cell: chosen(record, cell) for cell in CELLS}
    scores = {cell: {seed: run.test or 0.0 for seed, run in found.items()} for cell, found in runs.items()}
    (pair,) = pairs(scores)
    best = min(record.baselines, key=lambda line: line.score)
    return Verdict(
        problem.title,
        record.metric,
        {cell: (run.hidden_size, run.parameters) for cell, found in runs.items() for run in found.values()},
        {cell: sum(found.values()) / len(found) for cell, found in scores.items()},
        f"{best.score:.4g} ({best.name})",
        pair,
    )


def holm(values: Sequence[float]) -> list[float]:
    """Holm's correction of p values, in their order."""
    order = sorted(range(len(values)), key=values.__getitem__)
    largest, found = 0.0, [0.0] * len(values)
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        found[place] = largest
    return found


def page(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The results as Markdown."""
    corrected = holm([found.pair.p for found in verdicts])
    yield "| problem | metric | LSTM | PeepholeLSTM | peephole less LSTM | 95 % interval | p | p, Holm | seeds |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for found, p in zip(verdicts, corrected, strict=True):
        pair = found.pair  # LSTM less peephole LSTM
        means = " | ".join(f"{mean:.4g}" for mean in found.means.values())
        interval = f"{-pair.high:+.2g} to {-pair.low:+.2g}"
        yield (
            f"| {found.title} | {found.metric} | {means} | {-pair.difference:+.2g} | {interval} | {pair.p:.2g} "
            f"| {p:.2g} | {pair.seeds} |"
        )
    yield ""
    yield from (f"- {found.title}: {said_of(found.pair)}" for found in verdicts)
    yield ""
    yield "| problem | units of LSTM and PeepholeLSTM | parameters | best baseline without a network |"
    yield "|---|---|---|---|"
    for found in verdicts:
        units, parameters = zip(*(found.sizes[cell] for cell in CELLS), strict=True)
        sizes = " and ".join(map(str, units)), " and ".join(f"{count:,}" for count in parameters)
        yield f"| {found.title} | {' | '.join(sizes)} | {found.baseline} |"


def write_runs(records: dict[str, ComparisonRecord], path: Path) -> None:
    """Every run with its scores; ``tested`` marks those whose learning rate validated best."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("problem", "cell", "learning_rate", "seed", "units", "parameters", "valid", "test", "tested", "seconds")
        )
        for name, record in records.items():
            tested = {run.run for cell in CELLS for run in chosen(record, cell).values()}
            for run in record.runs:
                rate = PROBLEMS[name].setting.learning_rate * FACTORS[_factor(run)]
                cells = (name, run.cell.split()[0], f"{rate:.4g}", run.seed, run.hidden_size, run.parameters)
                writer.writerow((*cells, run.valid, run.test, int(run.run in tested), round(run.train_seconds, 2)))


def _factor(run: RunRecord) -> int:
    return [f"{factor:.2g}" for factor in FACTORS].index(run.cell.split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(PROBLEMS))
    parser.add_argument("--seeds", type=int, help="fewer or more than decided above")
    parser.add_argument("--folder", type=Path, default=Path("build/peepholes"))
    parser.add_argument("--output", type=Path, help="folder for verdict.md and runs.csv")
    options = parser.parse_args()
    names = [options.only] if options.only else list(PROBLEMS)
    chosen_problems = {name: replace_seeds(PROBLEMS[name], options.seeds) for name in names}
    records = {
        name: compared(problem, problem.seeds, options.folder / name) for name, problem in chosen_problems.items()
    }
    text = "\n".join(page([verdict(chosen_problems[name], record) for name, record in records.items()]))
    print(text)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "verdict.md").write_text(f"{heading()}{text}\n", encoding="utf-8")
        write_runs(records, options.output / "runs.csv")


def heading() -> str:
    command = "python -m benchmarks.peepholes --output benchmarks/results/peepholes"
    return (
        f"# Do peepholes help?\n\n{processor()}; `{command}`. The protocol stands in the file's docstring and was "
        "written before the first run. Lower is better; every run is in `runs.csv`.\n\n"
    )


def replace_seeds(problem: Problem, seeds: int | None) -> Problem:
    return problem._replace(seeds=seeds or problem.seeds)


if __name__ == "__main__":
    main()
