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
import shutil
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Self

import torch

from tidegate import tasks
from tidegate.cell import Graph
from tidegate.compare.kept import packed
from tidegate.compare.naming import as_at_first
from tidegate.compare.tuning import Candidate
from tidegate.nn.sparse import nonzeros
from tidegate.records import EpochRecord, RunRecord
from tidegate.runtime import isa
from tidegate.train.card import CHECKPOINT
from tidegate.train.layer import make_layer
from tidegate.train.loop import ADDRESSES, Outcome, evaluate, train
from tidegate.train.plan import Plan
from tidegate.train.search import search
from tidegate.train.setting import Training
from tidegate.train.task import AnyTask

PROTOCOL = 5  # increase it whenever the meaning of a trial changes, so that old results are not reused


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
        options: the settings of this cell that differ from the recipe.
        protocol: version of the protocol; another version is another run.
        torch: version of torch; another version is another run.
    """

    task: dict[str, Any]
    cell: str
    graph: dict[str, Any]
    seed: int
    candidates: tuple[Candidate, ...]
    threads: int = 1
    options: dict[str, Any] = field(default_factory=dict)
    protocol: int = PROTOCOL
    torch: str = str(torch.__version__)

    @cached_property
    def hash(self) -> str:
        """The name of this trial: equal specifications have equal names, wherever the data are stored."""
        spec = dataclasses.asdict(self)
        for address in ADDRESSES:  # the hash of the data is part of the task
            spec["task"].pop(address, None)
        spec["task"]["setting"] = as_at_first(spec["task"]["setting"], tasks.TABLE[self.task["task"]].setting)
        if self.threads == 1:
            del spec["threads"]  # so that runs from before there was a choice keep their names
        if not self.options:
            del spec["options"]  # as above
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
            Plan.of(replace(recipe, seed=self.seed, **self.options | dataclasses.asdict(candidate)), self.cell, attempt)
            for attempt, candidate in enumerate(self.candidates)
        ]


def run_trial(
    spec: TrialSpec,
    folder: Path,
    on_epoch: Callable[[int, EpochRecord], None],
    keep: Callable[[bytes], None] = lambda _: None,
) -> RunRecord:
    """Train with each candidate's settings, and test the model with the best validation score.

    Args:
        spec: what to run.
        folder: for checkpoints; the trial resumes from those there and removes them at the end.
        on_epoch: called after each epoch with the place of the candidate in ``spec.candidates`` and the epoch.
        keep: called with the model that was tested, as ``kept.packed`` makes it; not of a run that diverged.

    Returns:
        The record of the run with the best candidate.
    """
    task = _task(json.dumps(spec.task, sort_keys=True))
    graph = Graph.from_json(spec.graph)
    homes = [folder / f"{spec.hash}-{k}" for k in range(len(spec.candidates))]
    trained = [
        _train(copy(task), graph, plan, homes[k], lambda record, k=k: on_epoch(k, record))  # type: ignore[misc]
        for k, plan in enumerate(spec.plans(task.setting))
    ]
    outcomes = [outcome for _, outcome in trained]
    chosen = min(range(len(outcomes)), key=lambda k: (outcomes[k].diverged, outcomes[k].best_valid))
    tested, best = trained[chosen]
    record = _record(spec, spec.candidates[chosen], tested, best, outcomes)
    if record.status == "finished":
        keep(packed(best.model, tested))
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
    return record


def _train(
    task: AnyTask, graph: Graph, plan: Plan, home: Path, on_epoch: Callable[[EpochRecord], None]
) -> tuple[AnyTask, Outcome]:
    """Train as ``tidegate train`` does: first choose what the task leaves open, then go on with that."""
    layer = make_layer(graph, plan.setting)
    found = search(task, layer, plan, home / CHECKPOINT)
    return found.task, train(
        found.task, layer, plan, checkpoint=found.checkpoint, on_epoch=on_epoch, paused=found.paused
    )


def _record(spec: TrialSpec, chosen: Candidate, task: AnyTask, best: Outcome, outcomes: Sequence[Outcome]) -> RunRecord:
    test = math.nan if best.diverged else evaluate(task, task.settle(best.model), "test")
    finished = math.isfinite(test)
    return RunRecord(
        run=spec.hash,
        cell=spec.cell,
        seed=spec.seed,
        **dataclasses.asdict(chosen),
        parameters=nonzeros(best.model),
        status="finished" if finished else "diverged",
        valid=best.best_valid if finished else None,
        test=test if finished else None,
        best_epoch=best.best_epoch,
        tried=tuple(None if outcome.diverged else outcome.best_valid for outcome in outcomes),
        train_seconds=sum(epoch.seconds for outcome in outcomes for epoch in outcome.curve),
        curve=best.curve,
        machine=instruction_sets(),
        options=spec.options,
    )


def instruction_sets() -> str:
    """The kind of processor and the instructions that torch and the engine use on it: others round differently."""
    return f"{platform.machine()}, torch {torch.backends.cpu.get_cpu_capability()}, engine {isa()}"


@lru_cache(maxsize=4)
def _task(data: str) -> AnyTask:
    """Read a task; a worker reads it once, not once per run."""
    return tasks.from_json(json.loads(data))
