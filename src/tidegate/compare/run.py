"""``tidegate.compare.run``: which recurrent cell for my data?"""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import scipy
import torch
from scipy.stats import qmc

from tidegate import tasks, zoo
from tidegate._version import __version__
from tidegate.cell import Cell
from tidegate.compare.answer import answer, with_rivals
from tidegate.compare.budget import solve_hidden_size
from tidegate.compare.executor import Progress, record_path, run_all
from tidegate.compare.latency import step_latency_us
from tidegate.compare.layer import flops_per_step, layer_of
from tidegate.compare.statistic import interval, pairs
from tidegate.compare.trial import Setting, TrialSpec
from tidegate.errors import InputError
from tidegate.records import CellRecord, ComparisonRecord, RunRecord
from tidegate.train.task import AnyTask, Recipe, SequenceModel, Task

DEFAULT_CELLS = ("rnn", "lstm", "peepholelstm", "gru")

CellLike = str | type[Cell]
Cells = Mapping[str, type[Cell]]


def named(cells: str | Sequence[CellLike] | Mapping[str, CellLike]) -> dict[str, type[Cell]]:
    """Cells by the name under which they take part.

    Args:
        cells: names of the zoo (``"lstm,gru"`` or a list) or classes; a mapping gives them names of its own.

    Raises:
        InputError: something that is no cell, the same name twice, or nothing at all.
    """
    if isinstance(cells, str):
        cells = [part.strip() for part in cells.split(",") if part.strip()]
    given = cells.items() if isinstance(cells, Mapping) else ((None, cell) for cell in cells)
    found: dict[str, type[Cell]] = {}
    for name, cell in given:
        kind = zoo.find(cell) if isinstance(cell, str) else cell
        if not (isinstance(kind, type) and issubclass(kind, Cell) and hasattr(kind, "graph")):
            raise InputError("CELL", f"{kind!r:.60} is not a cell", fix="pass a name of the zoo or a subclass of Cell")
        if (label := name or kind.name) in found:
            raise InputError("CELL_TWICE", f"{label} takes part twice", fix="pass a mapping from names to cells")
        found[label] = kind
    if not found:
        raise InputError("NO_CELLS", "there are no cells to compare", fix="name some, e.g. lstm,gru")
    return found


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
    """Compare cells at equal parameters on paired seeds.

    Args:
        data: a task from ``tidegate.tasks``, or what ``tasks.load`` takes: a file, or a bundled set.
        cells: names or classes, or a mapping that gives them names of its own.
        folder: keeps finished runs and checkpoints; called again, the experiment goes on from there.
        parameters: the budget of the whole model; the task's own unless given.
        seeds: runs per cell; fewer than five are no evidence, and the answer says so.
        trials: learning rates tried in each run, the same list for every cell; the task's own
            number unless given. The rate with the best validation score is tested.
        epochs: the cap; the task's own unless given.
        workers: processes; the result does not depend on how many.
        progress: told what happens.
        command: how to repeat this, for the report.

    Raises:
        InputError: numbers out of range, an unknown cell, or a folder in use.
    """
    task = data if isinstance(data, Task) else tasks.load(data)
    kinds = named(cells)
    _check(seeds=seeds, trials=trials, workers=workers, epochs=epochs, parameters=parameters)
    start = time.monotonic()
    recipe = task.recipe
    budget = parameters or recipe.parameters
    settings = _settings(recipe, trials or recipe.trials)
    sizes = {name: solve_hidden_size(task, kind.graph, budget) for name, kind in kinds.items()}
    plan = [
        _trial(task, name, kind, sizes[name][0], seed, settings, epochs or recipe.epochs)
        for seed in range(seeds)
        for name, kind in kinds.items()
    ]
    runs_folder = Path(folder) / "runs"
    reused = sum(record_path(runs_folder, trial.hash).exists() for trial in plan)
    records = run_all(plan, runs_folder, workers, progress or Progress())
    by_cell = {name: [record for record in records if record.cell == name] for name in kinds}
    found = _cell_records(task, kinds, by_cell, budget)
    scores = {name: {r.seed: r.test for r in runs if r.test is not None} for name, runs in by_cell.items()}
    compared = pairs({name: of_cell for name, of_cell in scores.items() if of_cell})
    baselines = with_rivals(found, task.baselines())
    return ComparisonRecord(
        command=command,
        task=task.name,
        metric=task.metric,
        unit=task.unit,
        data=task.data,
        protocol={
            **_protocol(recipe, seeds, settings, epochs or recipe.epochs, budget),
            "settings of the task": _told(task),
        },
        machine=_machine(workers),
        seconds=time.monotonic() - start,
        reused=reused,
        answer=answer(found, compared, baselines, task.data.name),
        cells=tuple(found),
        pairs=compared,
        baselines=baselines,
        runs=tuple(record for runs in by_cell.values() for record in runs),
    )


def _check(**numbers: int | None) -> None:
    for name, value in numbers.items():
        if value is not None and value < 1:
            raise InputError("NUMBER", f"{name} is {value}", fix=f"give at least 1 for {name}")


def _trial(
    task: AnyTask, name: str, kind: type[Cell], hidden_size: int, seed: int, settings: tuple[Setting, ...], epochs: int
) -> TrialSpec:
    recipe = task.recipe
    return TrialSpec(
        task=task.to_json(),
        cell=name,
        graph=kind.graph.to_json(),
        hidden_size=hidden_size,
        seed=seed,
        settings=settings,
        epochs=epochs,
        patience=recipe.patience,
        patience_rate=recipe.patience_rate,
        clip=recipe.clip,
    )


def _settings(recipe: Recipe, trials: int) -> tuple[Setting, ...]:
    """The task's own learning rate, a third of it, three times it, and on evenly from a ninth to nine times."""
    places = qmc.Halton(d=1, scramble=False).random(trials + 1)[1:, 0]  # 1/2, 1/4, 3/4, 1/8, ...
    return tuple(Setting(recipe.learning_rate * 9.0 ** (2 * place - 1), recipe.dropout) for place in places.tolist())


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
        made: SequenceModel = task.model(layer_of(kind.graph, hidden_size), 0.0)
        return made


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


def _protocol(recipe: Recipe, seeds: int, settings: tuple[Setting, ...], epochs: int, budget: int) -> dict[str, str]:
    rates = ", ".join(f"{setting.learning_rate:.3g}" for setting in settings)
    tuning = f"none: learning rate {rates} for all cells"
    if len(settings) > 1:
        tuning = (
            f"each run tries the learning rates {rates} and keeps the one that validates best, for every cell alike"
        )
    return {
        "budget": f"{budget:,} trainable parameters per model, hidden size solved for each cell",
        "seeds": f"{seeds} paired: run k of every cell shares the order of the data, not the first parameters",
        "tuning": tuning,
        "training": f"Adam, its rate halved after {recipe.patience_rate} epochs without progress, "
        f"dropout {recipe.dropout:g}, gradient norm clipped at {recipe.clip:g}, at most {epochs} epochs, "
        f"stopped after {recipe.patience} without progress",
        "test": "touched once, by the parameters of the epoch that validated best",
        "decision": "paired t test, Holm's correction over all pairs, level 0.05",
    }


def _told(task: AnyTask) -> str:
    """The task's own settings that are not those of every comparison of its kind."""
    standard = task.standard()
    values = {name: getattr(task.setting, name) for name in task.setting.own_names()}
    changed = [f"{name} = {value!r}" for name, value in values.items() if value != getattr(standard, name)]
    return ", ".join(changed) or "standard"


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
