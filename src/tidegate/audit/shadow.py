"""Shadow models: trained like the model, each on a random half of its rows and those of the test, to compare with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.audit.likelihood import confidence, ratio
from tidegate.cell import Graph
from tidegate.compare.executor import run_all
from tidegate.compare.executors.job import Progress, Workers
from tidegate.compare.kept import model_path, read_model, setting_of
from tidegate.compare.trial import TrialSpec
from tidegate.compare.tuning import Candidate, tuned
from tidegate.errors import InputError
from tidegate.phase import phase
from tidegate.records import EpochRecord, RunRecord
from tidegate.train.canary import chosen_half

LEAST = 4  # shadows, so that nearly every row is in one of them and not in another


class _Told(Progress):
    """Says how many shadows are trained."""

    def __init__(self, count: int) -> None:
        self.count, self.done = count, 0

    def epoch(self, cell: str, seed: int, setting: int, record: EpochRecord) -> None:
        del cell, seed, setting, record
        phase("training shadows", self.done, self.count)

    def finish(self, record: RunRecord) -> None:
        del record
        self.done += 1
        phase("training shadows", self.done, self.count)


def by_shadows(
    task: Any, model: torch.nn.Module, graph: Graph, count: int, folder: Path, workers: int | None
) -> tuple[NDArray[np.float64], str]:
    """The likelihood ratio score of each row of training, then of the test.

    Args:
        task: on which the model was trained, without canaries.
        model: the trained model.
        graph: its cell.
        count: the number of shadows.
        folder: where they are kept; those that are there are not trained again.
        workers: how many are trained at a time.

    Returns:
        [N] scores, and how they were made.

    Raises:
        InputError: there are too few shadows, or one diverged.
    """
    if count < LEAST:
        raise InputError("SHADOWS", f"{count} shadows are too few", fix=f"train at least {LEAST}; 16 are better")
    trials = [_trial(task, graph, seed) for seed in range(count)]
    phase("training shadows", 0, count)
    records = run_all(trials, folder, Workers(count=workers), _Told(count))
    examples = task.examples
    rows = [*examples.rows("train"), *examples.rows("test")]
    own = confidence(examples.losses(model, rows))
    theirs, inside = np.zeros((count, len(rows))), np.zeros((count, len(rows)), dtype=bool)
    for place, record in enumerate(records):
        if record.status != "finished":
            raise InputError("SHADOW_DIVERGED", f"shadow {place} diverged", fix="lower the model's learning rate")
        shadow, _ = read_model(model_path(folder, record.run), task, graph, setting_of(task.setting, record))
        theirs[place] = confidence(examples.losses(shadow, rows))
        inside[place] = chosen_half(task, place)[1]
    scores, spread = ratio(own, theirs, inside)
    how = f"{count} shadow models, each trained on a random half of both parts; spreads of losses: {spread}"
    return scores, how


def _trial(task: Any, graph: Graph, seed: int) -> TrialSpec:
    """The training of one shadow: that of the model, on other rows."""
    setting = task.setting
    described = task.to_json()
    described["setting"] |= {"canaries": 0}
    candidate = Candidate(**tuned(setting), hidden_size=setting.hidden_size)
    return dataclasses.replace(
        TrialSpec({**described, "half": seed}, graph.name, graph.to_json(), seed, (candidate,)),
    )
