"""What privacy costs: the score of a private model beside the plain one and the baselines, for every task.

    python -m benchmarks.private.tasks                     # every task, three seeds each; goes on where it was stopped
    python -m benchmarks.private.tasks --task tagging --seeds 1
    python -m benchmarks.private.tasks --table             # the table alone, of what was run so far

Both models have the same cell, width and number of epochs; everything else is the default, for the private one that of
private training. Baselines learn from the training rows without privacy; they come from the plain model's record.
Raw scores are in results/private/tasks.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.tasks import ESTIMATORS

FOLDER = Path(__file__).parents[1] / "results" / "private"
EPSILON = 8.0
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {  # data, settings of both, what is public
    "tagging": ("atis", {"epochs": 20}, ("tags", "vocabulary", "scheme")),
    "classification": ("names", {"epochs": 20}, ("classes", "vocabulary", "unit")),
    "music": ("jsb", {"epochs": 20, "hidden_size": 64}, ()),
    "speech": ("fsdd", {"epochs": 10, "hidden_size": 64}, ("symbols", "unit", "scale")),
    "translation": ("cmudict", {"epochs": 10, "hidden_size": 64}, ("vocabulary",)),
    "language": ("shakespeare", {"epochs": 4, "hidden_size": 64}, ("vocabulary",)),
    "forecast": ("elnino", {"epochs": 20}, ()),
}


def trained(task: str, seed: int, epsilon: float | None) -> dict[str, Any]:
    """Train one model; its scores, those of its baselines, and what it promises."""
    data, settings, public = CASES[task]
    private = {} if epsilon is None else {"epsilon": epsilon, "public": public}
    begun = time.process_time()
    model = ESTIMATORS[task].estimator(seed=seed, **settings, **private).fit(data)
    return {
        "seed": seed,
        "epsilon": model.privacy_ and model.privacy_.epsilon,
        "promise": model.privacy_ and vars(model.privacy_),
        "seconds": round(time.process_time() - begun, 1),
        "scores": [
            {"name": s.name, "value": s.value, "better": s.better, "baselines": s.baselines} for s in model.scores_
        ],
        "verdict": model.verdict_ and model.verdict_.text,
    }


def fill(found: dict[str, Any], task: str, seeds: int) -> None:
    """Run what a task lacks; each run is written down at once."""
    for kind, epsilon in (("private", EPSILON), ("plain", None)):
        rows = found.setdefault(task, {}).setdefault(kind, [])
        for seed in range(len(rows), seeds):
            try:
                rows.append(trained(task, seed, epsilon))
            except InputError as error:
                found[task]["refused"] = str(error)
                return write(found)
            print(task, kind, seed, rows[-1]["scores"][0]["name"], rows[-1]["scores"][0]["value"], flush=True)
            write(found)
    return None


def write(found: dict[str, Any]) -> None:
    """The raw scores, and the table."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "tasks.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (FOLDER / "tasks.md").write_text(table(found), encoding="utf-8")


def table(found: dict[str, Any]) -> str:
    """One line a task: mean and range over seeds."""
    lines = [
        "# What privacy costs",
        "",
        f"`python -m benchmarks.private.tasks`: models with epsilon {EPSILON:g} beside plain ones, mean over seeds and",
        "the lowest and highest in brackets, on the test part. Cell LSTM; width and epochs as in the script; all other",
        "settings are the defaults. A private model has no votes, anchors or others that learn from training rows.",
        "Raw scores: `tasks.json`.",
        "",
        "| task | data | score | private | plain | best baseline | noise | steps | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    refused = []
    for task, kinds in found.items():
        if "refused" in kinds:
            refused.append(f"- {task}, {CASES[task][0]}: {kinds['refused']}")
        private, plain = kinds.get("private", []), kinds.get("plain", [])
        if private and plain:
            promise = private[0]["promise"]
            lines.append(
                f"| {task} | {CASES[task][0]} | {named(plain)} | {span(private)} | {span(plain)} | {best(plain)} "
                f"| {promise['noise_multiplier']:g} | {promise['steps']:,} | {len(private)}, {len(plain)} |"
            )
    return "\n".join([*lines, *(["", "Refused by name:", "", *refused] if refused else []), ""])


def first(row: dict[str, Any]) -> dict[str, Any]:
    """The score that the table shows."""
    one: dict[str, Any] = row["scores"][0]
    return one


def named(rows: list[dict[str, Any]]) -> str:
    """Its name, and which way is better."""
    return f"{first(rows[0])['name']} ({first(rows[0])['better']})"


def span(rows: list[dict[str, Any]]) -> str:
    """Mean, lowest and highest."""
    values = [first(row)["value"] for row in rows]
    return f"{statistics.mean(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def best(rows: list[dict[str, Any]]) -> str:
    """The best baseline of the first seed."""
    score = first(rows[0])
    if not score["baselines"]:
        return ""
    pick = max if score["better"] == "higher" else min
    name = pick(score["baselines"], key=score["baselines"].__getitem__)
    return f"{score['baselines'][name]:.4g} ({name})"


def main() -> int:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = FOLDER / "tasks.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if options.table:
        write(found)
        return 0
    for task in [options.task] if options.task else CASES:
        fill(found, task, options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
