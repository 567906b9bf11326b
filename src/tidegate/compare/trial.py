"""A trial: one cell, one seed, as plain data that any worker can run.

A trial says everything that its result depends on and is named by the hash of that. Running it
twice, on any worker, interrupted or not, gives the same result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from tidegate import tasks
from tidegate.cell import Graph
from tidegate.compare.layer import layer_of
from tidegate.records import EpochRecord, RunRecord
from tidegate.train.loop import Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.task import AnyTask

PROTOCOL = 2  # raise it whenever the meaning of a trial changes: old results then stop counting


@dataclass(frozen=True)
class Setting:
    """One point of the tuning list, the same list for every cell."""

    learning_rate: float
    dropout: float


@dataclass(frozen=True)
class TrialSpec:
    """What a run depends on.

    Attributes:
        task: the task as data, with the hash of its data set.
        cell: the name under which the cell takes part; the initial seed derives from it.
        graph: the cell as data, so that a worker needs no code of the user's.
        hidden_size: solved for the budget.
        seed: k; data order derives from it alone, so it is shared by all cells.
        settings: what is tried; the one with the best validation score is tested.
        epochs, patience, patience_rate, clip: as in ``train.Plan``.
        protocol, torch: versions; a run of another one is another run.
    """

    task: dict[str, Any]
    cell: str
    graph: dict[str, Any]
    hidden_size: int
    seed: int
    settings: tuple[Setting, ...]
    epochs: int
    patience: int
    patience_rate: int
    clip: float
    protocol: int = PROTOCOL
    torch: str = str(torch.__version__)

    @cached_property
    def hash(self) -> str:
        """The name of this trial: equal specifications, equal names, wherever the data lie."""
        spec = dataclasses.asdict(self)
        del spec["task"]["source"]  # the content of the data is named by its hash
        data = json.dumps(spec, sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:20]

    def plans(self) -> list[Plan]:
        """One training plan for each setting."""
        return [
            Plan(
                initial_seed=derive(self.seed, "initial", self.cell, str(k)),
                order_seed=derive(self.seed, "order"),
                learning_rate=setting.learning_rate,
                dropout=setting.dropout,
                epochs=self.epochs,
                patience=self.patience,
                patience_rate=self.patience_rate,
                clip=self.clip,
            )
            for k, setting in enumerate(self.settings)
        ]


def derive(seed: int, *purpose: str) -> int:
    """A seed for one purpose, unrelated to those for other purposes."""
    digest = hashlib.sha256("/".join([str(seed), *purpose]).encode()).digest()
    return int.from_bytes(digest[:7], "big")


def run_trial(spec: TrialSpec, folder: Path, on_epoch: Callable[[int, EpochRecord], None]) -> RunRecord:
    """Train each setting, test the one that validated best.

    Args:
        spec: what to run.
        folder: for checkpoints; what lies there is used and removed.
        on_epoch: told the number of the setting and each new epoch.
    """
    task = _task(json.dumps(spec.task, sort_keys=True))
    graph = Graph.from_json(spec.graph)
    outcomes: list[Outcome] = []
    checkpoints = [folder / f"{spec.hash}-{k}.safetensors" for k in range(len(spec.settings))]
    for k, plan in enumerate(spec.plans()):
        outcomes.append(
            train(
                task,
                layer_of(graph, spec.hidden_size),
                plan,
                checkpoint=checkpoints[k],
                on_epoch=lambda record, k=k: on_epoch(k, record),  # type: ignore[misc]
            )
        )
    chosen = min(range(len(outcomes)), key=lambda k: (outcomes[k].diverged, outcomes[k].best_valid))
    record = _record(spec, outcomes[chosen], spec.settings[chosen], task, outcomes)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return record


def _record(spec: TrialSpec, best: Outcome, setting: Setting, task: AnyTask, outcomes: list[Outcome]) -> RunRecord:
    test = math.nan if best.diverged else evaluate(task, best.model, "test")
    finished = math.isfinite(test)
    return RunRecord(
        run=spec.hash,
        cell=spec.cell,
        seed=spec.seed,
        hidden_size=spec.hidden_size,
        parameters=sum(parameter.numel() for parameter in best.model.parameters()),
        status="finished" if finished else "diverged",
        valid=best.best_valid if finished else None,
        test=test if finished else None,
        best_epoch=best.best_epoch,
        learning_rate=setting.learning_rate,
        dropout=setting.dropout,
        train_seconds=sum(epoch.seconds for outcome in outcomes for epoch in outcome.curve),
        curve=best.curve,
    )


@lru_cache(maxsize=4)
def _task(data: str) -> AnyTask:
    """Tasks are read once per worker, not once per run."""
    return tasks.from_json(json.loads(data))
