"""The record of a comparison: what its runs come to, and the protocol that they followed."""

from __future__ import annotations

import math
import os
import platform
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import safetensors.torch
import scipy
import torch

from tidegate._version import __version__
from tidegate.compare.answer import answer, with_rivals
from tidegate.compare.budget import made
from tidegate.compare.cost import flops_per_step, step_latency_us
from tidegate.compare.executors.job import Workers
from tidegate.compare.statistic import interval, pairs
from tidegate.compare.tuning import TUNED, described
from tidegate.language import joined, say
from tidegate.machine import processors
from tidegate.nn.sparse import nonzeros
from tidegate.phase import phase
from tidegate.records import CellRecord, PairRecord, RunRecord, in_brackets
from tidegate.train.setting import Training, names, own_names
from tidegate.train.spec import Spec
from tidegate.train.task import AnyTask, SequenceModel

Cells = Mapping[str, Spec]
LEAN = ("density", "heads", "rank", "share", "semi_tied")  # settings that leave out weights
VARIED = ("cell", "hidden_size", "learning_rate", "seed")  # settings that differ between runs, tuned or not


def results(task: AnyTask, specs: Cells, records: Sequence[RunRecord], budget: int) -> dict[str, Any]:
    """The fields of the comparison's record that depend on the runs."""
    by_cell = {name: [record for record in records if record.cell == name] for name in specs}
    cells, compared = _cell_records(task, specs, by_cell, budget), _pairs(by_cell)
    phase("baselines")
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


def _cell_records(
    task: AnyTask, specs: Cells, by_cell: Mapping[str, Sequence[RunRecord]], budget: int
) -> list[CellRecord]:
    models = {name: _model(task, spec, _typical(by_cell[name])) for name, spec in specs.items()}
    phase("timing single steps")
    latency = step_latency_us({name: model.layer for name, model in models.items()})
    return [
        _cell_record(name, spec, models[name], by_cell[name], latency[name], budget) for name, spec in specs.items()
    ]


def _typical(runs: Sequence[RunRecord]) -> tuple[int, int]:
    """The layers and the hidden size that most runs chose."""
    return Counter((run.layers, run.hidden_size) for run in runs).most_common(1)[0][0]


def _model(task: AnyTask, spec: Spec, size: tuple[int, int]) -> SequenceModel:
    setting = replace(spec.over(task.setting), layers=size[0], hidden_size=size[1])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* has no effect$")  # said when the cell was sized
        model: SequenceModel = made(task, spec.cell.graph, setting)
        return model


def _cell_record(
    name: str,
    spec: Spec,
    model: SequenceModel,
    runs: Sequence[RunRecord],
    latency: tuple[float, float],
    budget: int,
) -> CellRecord:
    tests = [record.test for record in runs if record.test is not None]
    estimate = interval(tests) if tests else None
    has_interval = estimate is not None and math.isfinite(estimate.low)
    layers, hidden_size = _typical(runs)
    parameters = nonzeros(model)
    return CellRecord(
        name=name,
        graph=(model.layer.graph if spec.options else spec.cell.graph).to_json(),
        source=spec.cell.source,
        differs=spec.cell.differs,
        layers=layers,
        hidden_size=hidden_size,
        parameters=parameters,
        parameter_gap=parameters / budget - 1,
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
        options=spec.options,
    )


def protocol(recipes: Sequence[Training], specs: Cells, seeds: Sequence[int], sizes: str) -> dict[str, str]:
    """The rules of a comparison in words.

    Args:
        recipes: the settings that each run tries; the first is the recipe.
        specs: the cells by name.
        seeds: those of the runs.
        sizes: how the hidden sizes were found.
    """
    setting, kind = recipes[0], type(recipes[0])
    tuning = say("none: {setting} for every cell", setting=described(setting))
    if len(recipes) > 1:
        tried = joined([*map(described, recipes)], "; ")
        tuning = say(
            "each run tries {count} settings, those of every cell, and keeps what validates best: {tried}",
            count=len(recipes),
            tried=tried,
        )
    shown = [name for name in names(kind) if name not in (*own_names(kind), *VARIED, *TUNED)]
    values = {name: getattr(setting, name) for name in shown}
    defaults = kind()
    own = {name: getattr(setting, name) for name in own_names(kind)}
    changed = [f"{name} {value!r}" for name, value in own.items() if value != getattr(defaults, name)]
    return {
        say("budget"): sizes,
        **_counting([setting, *(spec.over(setting) for spec in specs.values())]),
        say("seeds"): say(
            "{count} paired, from {first} on: runs of one seed share the order of the data, but not the first weights",
            count=len(seeds),
            first=seeds[0],
        ),
        say("tuning"): tuning,
        say("recipe"): ", ".join(f"{name} {value}" for name, value in values.items() if value not in (None, False)),
        **_own_settings(specs),
        say("settings of the task"): ", ".join(changed) or say("standard"),
        say("test"): say("touched once, by the weights of the epoch that validated best"),
        say("decision"): say("each pair by the paired t test, level 0.05; a winner beats every other cell"),
    }


def _counting(settings: Sequence[Training]) -> dict[str, str]:
    """What counts as a parameter, where cells have fewer weights than full matrices would."""
    full = type(settings[0])()
    if all(getattr(setting, name) == getattr(full, name) for setting in settings for name in LEAN):
        return {}
    counted = say(
        "those that are multiplied: with a density, the share of the weights that is kept; what is shared, once; heads "
        "and ranks as stored"
    )
    return {say("parameters"): counted}


def _own_settings(specs: Cells) -> dict[str, str]:
    """The settings in which cells differ from the recipe; nothing if there are none."""
    own = [f"{name}: {spec.cell.name}{in_brackets(spec.options)}" for name, spec in specs.items() if spec.options]
    return {say("settings of cells"): say("{cells}; no search changes them", cells="; ".join(own))} if own else {}


def machine(workers: Workers, kinds: Mapping[str, int]) -> dict[str, str]:
    """Where the comparison ran, and with which versions.

    Args:
        workers: what was asked for.
        kinds: how many runs there are from each kind of processor.
    """
    count = workers.count or (processors() if workers.engine == "process" else say("as many as there were"))
    threads = say("one thread") if workers.threads == 1 else say("{threads} threads", threads=workers.threads)
    return {
        say("system"): say(
            "{system} {machine}, {count} processors",
            system=platform.system(),
            machine=platform.machine(),
            count=os.cpu_count(),
        ),
        say("processors of the runs"): joined(
            [say("{kind} ({runs} runs)", kind=kind, runs=runs) for kind, runs in kinds.items()], "; "
        ),
        say("workers"): say("{engine}: {count}, {threads} each", engine=workers.engine, count=count, threads=threads),
        "python": platform.python_version(),
        "tidegate": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
