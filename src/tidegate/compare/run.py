"""``tidegate.compare.run``: find out which recurrent cell suits some data."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import scipy
import torch

from tidegate import tasks
from tidegate._version import __version__
from tidegate.cell import Cell
from tidegate.compare.answer import answer, with_rivals
from tidegate.compare.budget import default_budget, solve_hidden_size
from tidegate.compare.cost import flops_per_step, step_latency_us
from tidegate.compare.executor import Progress, record_path, run_all
from tidegate.compare.statistic import interval, pairs
from tidegate.compare.trial import TrialSpec
from tidegate.errors import InputError
from tidegate.records import CellRecord, ComparisonRecord, PairRecord, RunRecord
from tidegate.train.layer import make_layer
from tidegate.train.setting import Training, names, own_names
from tidegate.train.task import AnyTask, SequenceModel, Task
from tidegate.zoo import find, graph_of

DEFAULT_CELLS = ("rnn", "lstm", "peepholelstm", "gru")
VARIED = ("cell", "hidden_size", "learning_rate", "seed")  # settings that differ between runs

CellLike = str | type[Cell]
Cells = Mapping[str, type[Cell]]


def named(cells: str | Sequence[CellLike] | Mapping[str, CellLike]) -> dict[str, type[Cell]]:
    """Give every cell a name.

    Args:
        cells: names from the zoo (``"lstm,gru"`` or a list) or classes; a mapping gives them names of its own.

    Returns:
        The classes by name.

    Raises:
        InputError: an entry is no cell, a name appears twice, or there are no cells at all.
    """
    if isinstance(cells, str):
        cells = [part.strip() for part in cells.split(",") if part.strip()]
    pairs = cells.items() if isinstance(cells, Mapping) else ((None, cell) for cell in cells)
    classes: dict[str, type[Cell]] = {}
    for name, cell in pairs:
        graph_of(cell)  # raises if this is not a cell
        kind = find(cell) if isinstance(cell, str) else cell
        label = name or kind.name
        if label in classes:
            raise InputError("CELL_TWICE", f"{label} is listed twice", fix="pass a mapping from names to cells")
        classes[label] = kind
    if not classes:
        raise InputError("NO_CELLS", "there are no cells to compare", fix="name some, e.g. lstm,gru")
    return classes


def run(
    data: AnyTask | str | Path,
    cells: str | Sequence[CellLike] | Mapping[str, CellLike] = DEFAULT_CELLS,
    *,
    folder: Path | str,
    parameters: int | None = None,
    seeds: int = 5,
    trials: int | None = None,
    epochs: int | None = None,
    workers: int = 2,
    progress: Progress | None = None,
    command: str = "",
) -> ComparisonRecord:
    """Compare cells with equal parameters on paired seeds, each trained with the task's own recipe.

    Run k of a cell with the recipe's learning rate is the training that ``tidegate train`` does with ``seed=k``, the
    same hidden size and one thread.

    Args:
        data: a task from ``tidegate.tasks``, whose settings are the recipe; or a file, or the name of a bundled set.
        cells: names from the zoo or classes, or a mapping that gives them names of its own.
        folder: for finished runs and checkpoints; another call resumes from there.
        parameters: trainable parameters of each model; unless given, those of an LSTM with the recipe's hidden size.
        seeds: runs per cell; fewer than five are not enough to decide, and the answer says so.
        trials: learning rates to try in each run, the same for every cell; the task's default unless given. The
            one with the best validation score is tested.
        epochs: the largest number of passes over the training data; the recipe's unless given.
        workers: the number of processes; it does not change the result.
        progress: told about every finished epoch and trial.
        command: the shell command that repeats the comparison, for the report.

    Returns:
        The answer and everything that it rests on; ``tidegate.report`` writes it as HTML, JSON and CSV.

    Raises:
        InputError: a number is out of range, a cell is unknown, the data cannot be used, or the folder is in use.
        BackendError: a worker process died.
    """
    task = data if isinstance(data, Task) else tasks.load(data)
    kinds = named(cells)
    _check(seeds=seeds, trials=trials, workers=workers, epochs=epochs, parameters=parameters)
    start = time.monotonic()
    budget = parameters or default_budget(task)
    rates = _rates(task.setting.learning_rate, trials or task.rates)
    described = task.to_json()
    described["setting"] |= {"epochs": epochs or task.setting.epochs}
    trials_to_run = _trials(task, described, kinds, seeds, rates, budget)
    runs_folder = Path(folder) / "runs"
    reused = sum(record_path(runs_folder, trial.hash).exists() for trial in trials_to_run)
    records = run_all(trials_to_run, runs_folder, workers, progress or Progress())
    by_cell = {name: [record for record in records if record.cell == name] for name in kinds}
    results = _results(task, kinds, by_cell, budget)
    return ComparisonRecord(
        command=command,
        task=task.name,
        metric=task.metric,
        unit=task.unit,
        data=task.data,
        protocol=_protocol(task.setting, described["setting"], seeds, rates, budget),
        machine=_machine(workers),
        seconds=time.monotonic() - start,
        reused=reused,
        **results,
    )


def _trials(
    task: AnyTask, described: dict[str, Any], kinds: Cells, seeds: int, rates: tuple[float, ...], budget: int
) -> list[TrialSpec]:
    """Every run of every cell, the first run of each cell first."""
    sizes = {name: solve_hidden_size(task, kind.graph, budget)[0] for name, kind in kinds.items()}
    return [
        TrialSpec(described, name, kind.graph.to_json(), sizes[name], task.setting.seed + k, rates)
        for k in range(seeds)
        for name, kind in kinds.items()
    ]


def _results(task: AnyTask, kinds: Cells, by_cell: Mapping[str, Sequence[RunRecord]], budget: int) -> dict[str, Any]:
    """The fields of the comparison's record that depend on the runs."""
    cells, compared = _cell_records(task, kinds, by_cell, budget), _pairs(by_cell)
    baselines = with_rivals(cells, task.baselines())
    return {
        "answer": answer(cells, compared, baselines, task.data.name),
        "cells": tuple(cells),
        "pairs": compared,
        "baselines": baselines,
        "runs": tuple(record for records in by_cell.values() for record in records),
    }


def _pairs(by_cell: Mapping[str, Sequence[RunRecord]]) -> tuple[PairRecord, ...]:
    """Compare the cells that have at least one finished run."""
    scores = {
        name: {record.seed: record.test for record in records if record.test is not None}
        for name, records in by_cell.items()
    }
    return pairs({name: by_seed for name, by_seed in scores.items() if by_seed})


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError("NUMBER", f"{name}={value} is out of range", fix="use at least 1")


def _rates(rate: float, count: int) -> tuple[float, ...]:
    """The recipe's learning rate, a third of it, three times it, and more, spread over a ninth to nine times of it."""
    places = scipy.stats.qmc.Halton(d=1, scramble=False).random(count + 1)[1:, 0]  # 1/2, 1/4, 3/4, 1/8, ...
    return tuple(rate * 9.0 ** (2 * place - 1) for place in places.tolist())


def _cell_records(
    task: AnyTask, kinds: Cells, by_cell: Mapping[str, Sequence[RunRecord]], budget: int
) -> list[CellRecord]:
    models = {name: _model(task, kind, by_cell[name][0].hidden_size) for name, kind in kinds.items()}
    latency = step_latency_us({name: model.layer for name, model in models.items()})
    return [
        _cell_record(name, kind, models[name], by_cell[name], latency[name], budget) for name, kind in kinds.items()
    ]


def _model(task: AnyTask, kind: type[Cell], hidden_size: int) -> SequenceModel:
    with torch.random.fork_rng(devices=[]):
        model: SequenceModel = task.model(make_layer(kind.graph, replace(task.setting, hidden_size=hidden_size)))
        return model


def _cell_record(
    name: str,
    kind: type[Cell],
    model: SequenceModel,
    runs: Sequence[RunRecord],
    latency: tuple[float, float],
    budget: int,
) -> CellRecord:
    tests = [record.test for record in runs if record.test is not None]
    estimate = interval(tests) if tests else None
    has_interval = estimate is not None and math.isfinite(estimate.low)
    return CellRecord(
        name=name,
        graph=kind.graph.to_json(),
        source=kind.source,
        differs=kind.differs,
        hidden_size=model.layer.hidden_size,
        parameters=runs[0].parameters,
        parameter_gap=runs[0].parameters / budget - 1,
        flops_per_step=flops_per_step(model),
        finished=len(tests),
        diverged=len(runs) - len(tests),
        mean=estimate.mean if estimate else None,
        low=estimate.low if estimate and has_interval else None,
        high=estimate.high if estimate and has_interval else None,
        train_seconds=float(np.mean([record.train_seconds for record in runs])),
        step_p50_us=latency[0],
        step_p99_us=latency[1],
        exported_bytes=len(safetensors.torch.save(model.state_dict())),
    )


def _protocol(
    setting: Training, used: Mapping[str, Any], seeds: int, rates: tuple[float, ...], budget: int
) -> dict[str, str]:
    tried = ", ".join(f"{rate:.3g}" for rate in rates)
    tuning = f"none: learning rate {tried} for every cell"
    if len(rates) > 1:
        tuning = f"each run tries the learning rates {tried} and keeps the one that validates best, for every cell"
    recipe = [name for name in names(type(setting)) if name not in (*own_names(type(setting)), *VARIED)]
    own = {name: getattr(setting, name) for name in own_names(type(setting))}
    defaults = type(setting)()
    changed = [f"{name} {value!r}" for name, value in own.items() if value != getattr(defaults, name)]
    return {
        "budget": f"{budget:,} trainable parameters per model; the hidden size is solved for each cell",
        "seeds": f"{seeds} paired: run k of every cell shares the order of the data, but not the first weights",
        "tuning": tuning,
        "recipe": ", ".join(f"{name} {used[name]}" for name in recipe if used[name] not in (None, False)),
        "settings of the task": ", ".join(changed) or "standard",
        "test": "touched once, by the weights of the epoch that validated best",
        "decision": "each pair by the paired t test, level 0.05; a winner beats every other cell",
    }


def _machine(workers: int) -> dict[str, str]:
    return {
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "workers": f"{workers}, one thread each",
        "python": platform.python_version(),
        "tidegate": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
