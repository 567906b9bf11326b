"""A trial: one cell, one seed, as plain data that any worker can run.

A trial states everything that its result depends on, and its name is the hash of that. Run twice, on any worker,
interrupted or not, it gives the same result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import torch

from tidegate import tasks
from tidegate.cell import Graph
from tidegate.records import EpochRecord, RunRecord
from tidegate.train.layer import make_layer
from tidegate.train.loop import ADDRESSES, Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask

PROTOCOL = 3  # increase it whenever the meaning of a trial changes, so that old results are not reused


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a run depends on.

    Attributes:
        task: the task as plain data: its settings, which are the recipe, and the hash of its data set.
        cell: the name of the cell in the comparison; initial weights depend on it.
        graph: the cell as plain data, so that a worker needs no code of the user's.
        hidden_size: the one that fits the budget.
        seed: the order of the data depends on nothing else, so all cells share it.
        rates: the learning rates to try; the one with the best validation score is tested.
        protocol: version of the protocol; another version is another run.
        torch: version of torch; another version is another run.
    """

    task: dict[str, Any]
    cell: str
    graph: dict[str, Any]
    hidden_size: int
    seed: int
    rates: tuple[float, ...]
    protocol: int = PROTOCOL
    torch: str = str(torch.__version__)

    @cached_property
    def hash(self) -> str:
        """The name of this trial: equal specifications have equal names, wherever the data are stored."""
        spec = dataclasses.asdict(self)
        for address in ADDRESSES:  # the hash of the data is part of the task
            spec["task"].pop(address, None)
        data = json.dumps(spec, sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:20]

    def plans(self, recipe: Training) -> list[Plan]:
        """A plan for each learning rate, as ``tidegate train`` would run it.

        Args:
            recipe: the settings of the task.
        """
        return [
            Plan.of(
                replace(recipe, hidden_size=self.hidden_size, seed=self.seed, learning_rate=rate), self.cell, attempt
            )
            for attempt, rate in enumerate(self.rates)
        ]


def run_trial(spec: TrialSpec, folder: Path, on_epoch: Callable[[int, EpochRecord], None]) -> RunRecord:
    """Train with each learning rate, and test the model with the best validation score.

    Args:
        spec: what to run.
        folder: for checkpoints; the trial resumes from those there and removes them at the end.
        on_epoch: called after each epoch with the place of the learning rate in ``spec.rates`` and the epoch.

    Returns:
        The record of the run with the best learning rate.
    """
    task = _task(json.dumps(spec.task, sort_keys=True))
    graph = Graph.from_json(spec.graph)
    outcomes: list[Outcome] = []
    checkpoints = [folder / f"{spec.hash}-{k}.safetensors" for k in range(len(spec.rates))]
    for k, plan in enumerate(spec.plans(task.setting)):
        outcomes.append(
            train(
                task,
                make_layer(graph, plan.setting),
                plan,
                checkpoint=checkpoints[k],
                on_epoch=lambda record, k=k: on_epoch(k, record),  # type: ignore[misc]
            )
        )
    chosen = min(range(len(outcomes)), key=lambda k: (outcomes[k].diverged, outcomes[k].best_valid))
    if not outcomes[chosen].diverged:
        task.settle(outcomes[chosen].model)
    record = _record(spec, outcomes[chosen], spec.rates[chosen], task, outcomes)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return record


def _record(spec: TrialSpec, best: Outcome, rate: float, task: AnyTask, outcomes: list[Outcome]) -> RunRecord:
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
        learning_rate=rate,
        train_seconds=sum(epoch.seconds for outcome in outcomes for epoch in outcome.curve),
        curve=best.curve,
    )


@lru_cache(maxsize=4)
def _task(data: str) -> AnyTask:
    """Read a task; a worker reads it once, not once per run."""
    return tasks.from_json(json.loads(data))
