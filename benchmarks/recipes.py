"""What single settings of a training do, one at a time, to one network: JSB chorales, keys by themselves.

    python benchmarks/recipes.py                # five minutes of one core; stopped at any moment, it goes on from there
    python benchmarks/recipes.py --seeds 1

Every row is the plain recipe with one setting changed: an LSTM of 150 units, no dropout, default rate and clipping.
Each seed has the same first weights and the same order of the data in every row. Writes results/recipes.csv and .md.
"""

import argparse
import csv
import os
import tempfile
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tidegate.tasks import Composer

RESULTS = Path(__file__).parent / "results"
FIELDS = ("recipe", "seed", "epochs", "test", "train", "seconds")
PLAIN: dict[str, Any] = {
    "nade_size": 0,
    "hidden_size": 150,
    "epochs": 60,
    "recurrent_dropout": 0.0,
    "dropout": 0.0,
}
RECIPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout=0.3": {"dropout": 0.3},
    "input_dropout=0.3": {"input_dropout": 0.3},
    "recurrent_dropout=0.5": {"recurrent_dropout": 0.5},
    "weight_dropout=0.3": {"weight_dropout": 0.3},
    "zoneout=0.3": {"zoneout": 0.3},
    "layer_norm": {"layer_norm": True},
    "forget_bias=1": {"forget_bias": 1.0},
    "chrono=50": {"chrono": 50},
    "orthogonal": {"orthogonal": True},
    "averaging=0.99": {"averaging": 0.99},
}

HEAD = """# Single settings of one training

`python benchmarks/recipes.py`: LSTM of {hidden_size} units, JSB chorales, keys by themselves, at most {epochs} epochs;
the epoch that validated best. NLL in nats a step on the test part, and of training at that epoch; the difference is
that of the same seeds. Runs are in `recipes.csv`.

| one change | test NLL | less plain | training NLL | epochs | seeds |
|---|---|---|---|---|---|
"""


def measure(name: str, seed: int, folder: str) -> dict[str, Any]:
    """The scores of one training; its own seconds of processor time."""
    begun = time.process_time()
    model = Composer(**{**PLAIN, **RECIPES[name]}, seed=seed).fit("jsb", folder=folder)
    seconds = time.process_time() - begun
    with Path(folder, "log.csv").open(encoding="utf-8", newline="") as file:
        epochs = list(csv.DictReader(file))
    best = min(epochs, key=lambda row: float(row["valid"]))
    return {
        "recipe": name,
        "seed": seed,
        "epochs": len(epochs),
        "test": round(model.scores_[0].value, 5),
        "train": round(float(best["train"]), 5),
        "seconds": round(seconds, 1),
    }


def known() -> list[dict[str, Any]]:
    """The rows that were measured before."""
    path = RESULTS / "recipes.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(rows: list[dict[str, Any]]) -> None:
    """All rows, and the table of their means."""
    order = [*RECIPES]
    rows.sort(key=lambda row: (order.index(row["recipe"]), int(row["seed"])))
    with (RESULTS / "recipes.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    (RESULTS / "recipes.md").write_text(table(rows), encoding="utf-8")


def table(rows: list[dict[str, Any]]) -> str:
    """Means and deviations over seeds, and the paired differences from the plain recipe."""
    by_recipe: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_recipe.setdefault(row["recipe"], {})[int(row["seed"])] = row
    text = HEAD.format(**PLAIN)
    plain = by_recipe.get("plain", {})
    for name, runs in by_recipe.items():
        differences = [float(row["test"]) - float(plain[seed]["test"]) for seed, row in runs.items() if seed in plain]
        cells = [
            f"`{name}`",
            spread([float(row["test"]) for row in runs.values()], "{:.3f}"),
            "" if name == "plain" else spread(differences, "{:+.3f}"),
            f"{mean(float(row['train']) for row in runs.values()):.2f}",
            f"{mean(int(row['epochs']) for row in runs.values()):.0f}",
            f"{len(runs)}",
        ]
        text += f"| {' | '.join(cells)} |\n"
    return text


def spread(values: list[float], form: str) -> str:
    """A mean and the deviation over seeds."""
    deviation = f" ± {stdev(values):.3f}" if len(values) > 1 else ""
    return form.format(mean(values)) + deviation if values else ""


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    seeds = parser.parse_args().seeds
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    rows = known()
    done = {(row["recipe"], int(row["seed"])) for row in rows}
    for seed in range(seeds):
        for name in RECIPES:
            if (name, seed) in done:
                continue
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(name, seed, f"{folder}/model"))
            write(rows)
            print(rows_line(rows, name, seed), flush=True)


def rows_line(rows: list[dict[str, Any]], name: str, seed: int) -> str:
    """What was measured last."""
    (row,) = (row for row in rows if row["recipe"] == name and int(row["seed"]) == seed)
    return f"{name} seed {seed}: {row['test']:.4f} after {row['epochs']} epochs, {row['seconds']} s"


if __name__ == "__main__":
    main()
