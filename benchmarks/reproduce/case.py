"""A case: one cell on one published row, and how it is run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from tidegate.train.layer import make_layer
from tidegate.train.loop import evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.setting import Training, older
from tidegate.train.task import AnyTask
from tidegate.zoo import graph_of

RESULTS = Path(__file__).parents[1] / "results" / "reproduce"
DATA = Path(__file__).parents[3] / "shared" / "data"  # what may not be bundled


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: what the line is called.
        task: makes the task from the settings.
        setting: of task, model and training.
        published: the value to be reproduced, as printed.
        source: who printed it.
        options: of the recurrent layers.
        score: which of the task's scores is compared; the metric unless named.
    """

    name: str
    task: Callable[[Any], AnyTask]
    setting: Training
    published: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)
    score: str | None = None

    def identity(self, seed: int) -> dict[str, Any]:
        """What a result depends on."""
        setting = dataclasses.asdict(replace(self.setting, seed=seed))
        return {"case": self.name, "seed": seed, "setting": setting, "options": self.options}

    def run(self, seed: int, checkpoint: Path) -> dict[str, Any]:
        """Train, take the epoch that validated best, test it once."""
        setting = replace(self.setting, seed=seed)
        task = self.task(setting)
        made = make_layer(graph_of(setting.cell), setting)
        start = time.monotonic()
        outcome = train(
            task,
            lambda features, /, **asked: made(features, **{**self.options, **asked}),
            Plan.of(setting, graph_of(setting.cell).name),
            checkpoint=checkpoint,
            on_epoch=lambda epoch: print(f"{self.name} seed {seed} epoch {epoch.epoch}: {epoch.valid:.5g}", flush=True),
        )
        metric = evaluate(task, outcome.model, "test")
        with torch.inference_mode():
            scores = {score.name: score.value for score in task.scores(outcome.model, metric)}
        return {
            **self.identity(seed),
            "scores": scores,
            "valid": outcome.best_valid,
            "best_epoch": outcome.best_epoch,
            "diverged": outcome.diverged,
            "parameters": sum(parameter.numel() for parameter in outcome.model.parameters()),
            "seconds": sum(epoch.seconds for epoch in outcome.curve),
            "wall_seconds": time.monotonic() - start,
            "curve": [round(epoch.valid, 7) for epoch in outcome.curve],
            "torch": str(torch.__version__),
        }


def run_row(row: str, cases: list[Case], seeds: int, results: Path) -> None:
    """Run what is not there yet, all cases of a seed before the next seed, and add each result as a line."""
    path = results / f"{row}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for case in cases:
            if found(case, seed, read(path)) is None:
                name = hashlib.sha256(json.dumps(case.identity(seed), sort_keys=True).encode()).hexdigest()[:12]
                checkpoint = results / f".{row}-{name}.safetensors"
                record = case.run(seed, checkpoint)
                with path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                checkpoint.unlink(missing_ok=True)
                print(f"{row} {case.name} seed {seed}: {record['scores']}, {record['seconds']:.0f} s", flush=True)


def read(path: Path) -> list[dict[str, Any]]:
    """The results of a row; none where it was never run."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def found(case: Case, seed: int, records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The result of this case with these settings, if there is one; what a record does not name was as in ``older``."""
    wanted = json.loads(json.dumps(case.identity(seed)))
    default = json.loads(json.dumps(dataclasses.asdict(older(type(case.setting)))))
    for record in records:
        setting = default | record["setting"]
        if wanted == {**{name: record[name] for name in wanted}, "setting": setting}:
            return record
    return None


def results_of(case: Case, records: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All results of a case, by seed."""
    seeds = sorted({record["seed"] for record in records})
    yield from (one for seed in seeds if (one := found(case, seed, records)))


def listed(columns: Iterable[str], lines: Iterable[str]) -> str:
    """A table with these columns."""
    names = list(columns)
    return "\n".join([f"| {' | '.join(names)} |", "|---" * len(names) + "|", *lines])
