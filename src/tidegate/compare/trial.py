"""A trial: one cell, one seed, as plain data that any worker can run.

A trial states everything that its result depends on, and its name is the hash of that. Run twice, on any worker,
interrupted or not, it gives the same result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import torch

from tidegate import tasks
from tidegate.cell import Graph
from tidegate.compare.tuning import Candidate
from tidegate.records import EpochRecord, RunRecord
from tidegate.runtime import isa
from tidegate.train.layer import make_layer
from tidegate.train.loop import ADDRESSES, Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask

PROTOCOL = 4  # increase it whenever the meaning of a trial changes, so that old results are not reused


@dataclass(frozen=True)
class TrialSpec:
    """Everything that a run depends on.

    Attributes:
        task: the task as plain data: its settings, which are the recipe, and the hash of its data set.
        cell: the name of the cell in the comparison; initial weights depend on it.
        graph: the cell as plain data, so that a worker needs no code of the user's.
        seed: the order of the data depends on nothing else, so all cells share it.
        candidates: the settings to try; those with the best validation score are tested.
        threads: of the worker; products of torch can differ with them in the last digits.
        protocol: version of the protocol; another version is another run.
        torch: version of torch; another version is another run.
    """

    task: dict[str, Any]
    cell: str
    graph: dict[str, Any]
    seed: int
    candidates: tuple[Candidate, ...]
    threads: int = 1
    protocol: int = PROTOCOL
    torch: str = str(torch.__version__)

    @cached_property
    def hash(self) -> str:
        """The name of this trial: equal specifications have equal names, wherever the data are stored."""
        spec = dataclasses.asdict(self)
        for address in ADDRESSES:  # the hash of the data is part of the task
            spec["task"].pop(address, None)
        if self.threads == 1:
            del spec["threads"]  # so that runs from before there was a choice keep their names
        data = json.dumps(spec, sort_keys=True)
        return hashlib.sha256(data.encode()).hexdigest()[:20]

    def to_text(self) -> str:
        """This trial as JSON, for ``from_text``, in whatever process that is."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what ``to_text`` wrote, number for number, so that it has the same name."""
        data = json.loads(text)
        return cls(**{**data, "candidates": tuple(Candidate(**candidate) for candidate in data["candidates"])})

    def plans(self, recipe: Training) -> list[Plan]:
        """A plan for each candidate, as ``tidegate train`` would run it.

        Args:
            recipe: the settings of the task.
        """
        return [
            Plan.of(replace(recipe, seed=self.seed, **dataclasses.asdict(candidate)), self.cell, attempt)
            for attempt, candidate in enumerate(self.candidates)
        ]


def run_trial(spec: TrialSpec, folder: Path, on_epoch: Callable[[int, EpochRecord], None]) -> RunRecord:
    """Train with each candidate's settings, and test the model with the best validation score.

    Args:
        spec: what to run.
        folder: for checkpoints; the trial resumes from those there and removes them at the end.
        on_epoch: called after each epoch with the place of the candidate in ``spec.candidates`` and the epoch.

    Returns:
        The record of the run with the best candidate.
    """
    task = _task(json.dumps(spec.task, sort_keys=True))
    graph = Graph.from_json(spec.graph)
    outcomes: list[Outcome] = []
    checkpoints = [folder / f"{spec.hash}-{k}.safetensors" for k in range(len(spec.candidates))]
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
    record = _record(spec, spec.candidates[chosen], outcomes[chosen], task, outcomes)
    for checkpoint in checkpoints:
        checkpoint.unlink(missing_ok=True)
    return record


def _record(spec: TrialSpec, chosen: Candidate, best: Outcome, task: AnyTask, outcomes: Sequence[Outcome]) -> RunRecord:
    test = math.nan if best.diverged else evaluate(task, best.model, "test")
    finished = math.isfinite(test)
    return RunRecord(
        run=spec.hash,
        cell=spec.cell,
        seed=spec.seed,
        **dataclasses.asdict(chosen),
        parameters=sum(parameter.numel() for parameter in best.model.parameters()),
        status="finished" if finished else "diverged",
        valid=best.best_valid if finished else None,
        test=test if finished else None,
        best_epoch=best.best_epoch,
        tried=tuple(None if outcome.diverged else outcome.best_valid for outcome in outcomes),
        train_seconds=sum(epoch.seconds for outcome in outcomes for epoch in outcome.curve),
        curve=best.curve,
        machine=instruction_sets(),
    )


def instruction_sets() -> str:
    """The kind of processor and the instructions that torch and the engine use on it: others round differently."""
    return f"{platform.machine()}, torch {torch.backends.cpu.get_cpu_capability()}, engine {isa()}"


@lru_cache(maxsize=4)
def _task(data: str) -> AnyTask:
    """Read a task; a worker reads it once, not once per run."""
    return tasks.from_json(json.loads(data))
