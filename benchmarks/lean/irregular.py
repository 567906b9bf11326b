"""Do cells that read time and gaps in their equations beat a GRU that reads them as inputs?

    python -m benchmarks.lean.irregular        # half an hour of one core; stopped at any moment, it goes on from there

JapaneseVowels (12 channels, official test part) loses 58 % of its values in two ways: at random, and in bursts that
begin where a value is high, so that what is missing says something about the class. Whole steps are lost too, so that
steps are unevenly far apart. All models get the same table, the same number of parameters and the same recipe. The GRU
reads [filled x, m, dt] as inputs, CfC and T-LSTM [filled x, m] and are given dt, the GRU-D reads x and is given dt and
m. Filled values lie on straight lines, and so come from the future too; the GRU-D does not read them. Data lie in
../shared/data/series_classification, or in the folder that the variable SERIES names. Writes
benchmarks/results/lean/irregular.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.series_classification import DATA
from numpy.typing import NDArray

from tidegate import compare, tasks
from tidegate.data import locate
from tidegate.data.labelled import Labelled, Layout, read_labelled
from tidegate.records import ComparisonRecord, RunRecord
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.setting import compared

RESULTS = Path(__file__).parents[1] / "results" / "lean" / "irregular.md"
SET = "JapaneseVowels"
CELLS = "gru,grud,cfc,tlstm"
PARAMETERS = 20_000
STEPS, VALUES = 0.3, 0.4  # shares of the steps, and of the values of others, that are lost
LENGTH = 4  # steps of a burst, on average
STEEP = 2.0  # how much likelier a burst begins one standard deviation higher

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Lose = Callable[[Floats, np.random.Generator], Flags]


def at_random(z: Floats, rng: np.random.Generator) -> Flags:
    """[T, 1 + C] what is lost: each step, and each value of others, whatever it is."""
    return rng.random((len(z), 1 + z.shape[1])) < np.array([STEPS, *[VALUES] * z.shape[1]])


def in_bursts(rates: tuple[float, float]) -> Lose:
    """Bursts that begin with a probability that grows with the value: of a channel, or of the mean of all."""

    def lose(z: Floats, rng: np.random.Generator) -> Flags:
        columns = np.column_stack([z.mean(1) / z.mean(1).std(), z])
        start = np.array([rates[0], *[rates[1]] * z.shape[1]]) / (1 + np.exp(-STEEP * columns))
        lost, left = np.zeros(columns.shape, bool), np.zeros(columns.shape[1], int)
        for t in range(len(z)):
            begins = (left == 0) & (rng.random(len(left)) < start[t])
            left = np.where(begins, rng.geometric(1 / LENGTH, len(left)), left)
            lost[t], left = left > 0, np.maximum(left - 1, 0)
        return lost

    return lose


def matched(series: Sequence[Floats]) -> Lose:
    """Bursts that lose as much as is lost at random."""

    def rate(of: slice, wanted: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            rng = np.random.default_rng(0)
            lost = np.concatenate([in_bursts((middle, middle))(z, rng) for z in series])[:, of].mean()
            low, high = (middle, high) if lost < wanted else (low, middle)
        return (low + high) / 2

    return in_bursts((rate(slice(0, 1), STEPS), rate(slice(1, None), VALUES)))


def table(part: Labelled, lose: Lose, scale: tuple[Floats, Floats], seed: int) -> pd.DataFrame:
    """A row for each step that is left; NaN where a value is lost."""
    rng, parts = np.random.default_rng(seed), []
    for number, (values, label) in enumerate(zip(part.items, part.labels, strict=True)):
        lost = lose((values - scale[0]) / scale[1], rng)
        lost[0, 0] = False
        frame = pd.DataFrame(np.where(lost[:, 1:], np.nan, values))[~lost[:, 0]].add_prefix("v")
        frame = frame.dropna(how="all").assign(label=f"speaker {label}", step=lambda own: own.index.astype(float))
        parts.append(frame.assign(series=f"s{number:04}"))
    return pd.concat(parts)


def compared_on(folder: Path, how: str, *, workers: int, seeds: int, epochs: int | None) -> ComparisonRecord:
    """The comparison on values lost in one way."""
    parts = {name: read_labelled(locate(DATA / f"{SET}_{name}.ts"), Layout())["train"] for name in ("TRAIN", "TEST")}
    steps = np.concatenate(parts["TRAIN"].items)
    scale = steps.mean(0), steps.std(0)
    lose = at_random if how == "random" else matched([(own - scale[0]) / scale[1] for own in parts["TRAIN"].items])
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{how}_{name}.csv" for name in parts}
    for seed, (name, part) in enumerate(parts.items()):
        table(part, lose, scale, seed).to_csv(files[name], index=False)
    recipe = dataclasses.replace(
        compared(ClassificationSetting),
        series="series",
        time="step",
        label="label",
        missing="inputs",
        bidirectional=False,
    )
    task = tasks.load(files["TRAIN"], "classification", recipe, test=files["TEST"])
    options = {"parameters": PARAMETERS, "seeds": seeds, "epochs": epochs, "workers": workers, "trials": 1}
    print(how, *task.data.warnings, sep=", ", flush=True)
    return compare.run(task, CELLS, folder=folder / how, progress=Count(), explain=False, **options)


class Count(compare.Progress):
    """Says which runs have finished."""

    def finish(self, record: RunRecord) -> None:
        score = "diverged" if record.test is None else f"{record.test:.4f}"
        print(f"{record.cell} seed {record.seed}: {score}, {record.train_seconds:.0f} s", flush=True)


def written(how: str, record: ComparisonRecord) -> list[str]:
    """A section of the results."""
    rows = [
        f"| {c.name} | {c.hidden_size} | {c.parameters:,} | {c.mean:.4f} | {c.low:.4f} to {c.high:.4f} "
        f"| {c.train_seconds:.0f} |"
        for c in record.cells
    ]
    pairs = [
        f"| {pair.a} - {pair.b} | {pair.difference:+.4f} | {pair.low:+.4f} to {pair.high:+.4f} | {pair.wins} of "
        f"{pair.seeds} | {'yes' if pair.reliable else 'no'} |"
        for pair in record.pairs
        if "GRU" in (pair.a, pair.b)
    ]
    return [
        f"## Values lost {'at random' if how == 'random' else 'in bursts'}",
        "",
        f"{record.data.description}. {'; '.join(record.data.warnings)} (training, then test).",
        "",
        f"| cell | units | parameters | {record.metric} ({record.unit}) | 95 % interval | seconds |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "| pair | difference | 95 % interval | seeds that the first wins | reliable |",
        "|---|---|---|---|---|",
        *pairs,
        "",
        f"Answer of the protocol: {record.answer.headline} {' '.join(record.answer.reasons)}",
        "",
    ]


def main() -> int:
    """Compare on both tables and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build/irregular"))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    options = parser.parse_args()
    limits = {"workers": options.workers, "seeds": options.seeds, "epochs": options.epochs}
    records = {how: compared_on(options.folder, how, **limits) for how in ("random", "bursts")}
    text = [
        "# Irregular time: GRU-D, CfC and T-LSTM against a GRU that reads gaps and times as inputs",
        "",
        f"`python -m benchmarks.lean.irregular` on {SET}: {PARAMETERS:,} parameters, {options.seeds} seeds.",
        "",
        *(line for how, record in records.items() for line in written(how, record)),
    ]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("\n".join(text), encoding="utf-8")
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
