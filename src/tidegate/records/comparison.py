"""Records of comparison: runs, cells, pairs and the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tidegate.errors import InputError
from tidegate.plain import typed
from tidegate.records.explanation import FlowRecord, MemoryRecord
from tidegate.records.training import BaselineRecord, DataRecord, EpochRecord


@dataclass(frozen=True)
class RunRecord:
    """One run of a cell with a seed.

    Attributes:
        run: a hash of everything that determines the run.
        status: ``"finished"``, or ``"diverged"`` if the loss of every trial, or the test score, is not finite.
        layers, hidden_size, recurrent_dropout, learning_rate: the settings with the best validation score.
        valid, test, curve: with these settings; the scores are None for a diverged run.
        tried: the validation score with each of the settings that were tried; None if it diverged.
        train_seconds: with all of them.
        machine: the processor and its instructions, which decide how sums are rounded; empty in old records.
        options: the settings of this cell that differ from the recipe; empty in old records.
    """

    run: str
    cell: str
    seed: int
    layers: int
    hidden_size: int
    recurrent_dropout: float
    learning_rate: float
    parameters: int
    status: Literal["finished", "diverged"]
    valid: float | None
    test: float | None
    best_epoch: int
    tried: tuple[float | None, ...]
    train_seconds: float
    curve: tuple[EpochRecord, ...]
    machine: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecallRecord:
    """What the best run of a cell remembers, measured on validation sequences.

    Attributes:
        problem: why nothing was measured; empty if it was.
        run, seed: the run, that with the best validation score.
        lag: the distance in steps at which gradients are compared, the same for all cells.
        lag_from: how it was chosen.
        flow: the gradient by lag of the layers as a whole; of several directions, that which keeps most at the lag.
        memory: of each layer.
        verdicts: in words, causes first.
        page: the explanation of this run, relative to the folder of the comparison.
    """

    problem: str = ""
    run: str = ""
    seed: int = 0
    lag: int = 0
    lag_from: str = ""
    flow: FlowRecord | None = None
    memory: tuple[MemoryRecord, ...] = ()
    verdicts: tuple[str, ...] = ()
    page: str = ""


@dataclass(frozen=True)
class CellRecord:
    """The results of one cell in a comparison.

    Attributes:
        name: of the cell in this comparison; its definition has a name of its own in ``graph``.
        graph: the cell as data, with what its options make of it.
        differs: how it differs from the published cell.
        layers, hidden_size: those that most runs chose; parameters, operations, latency and bytes are theirs.
        parameter_gap: relative difference from the budget.
        mean: test score, averaged over seeds; None if no run finished.
        low, high: the 95 % t interval of the mean; None if fewer than two runs finished.
        train_seconds: mean over runs.
        step_p50_us, step_p99_us: latency of one step, median and 99th percentile.
        exported_bytes: size of the exported layer.
        recall: what its best run remembers; None if that was not asked, and in old records.
        options: the settings of this cell that differ from the recipe; empty in old records.
    """

    name: str
    graph: dict[str, Any]
    source: str
    differs: str
    layers: int
    hidden_size: int
    parameters: int
    parameter_gap: float
    flops_per_step: int
    finished: int
    diverged: int
    mean: float | None
    low: float | None
    high: float | None
    train_seconds: float
    step_p50_us: float
    step_p99_us: float
    exported_bytes: int
    recall: RecallRecord | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PairRecord:
    """Cell ``a`` against cell ``b`` on their common seeds, and no others. Differences are a's score minus b's.

    Attributes:
        wins: seeds on which a scored better.
        probability: predicted probability that a scores better on a new seed.
        p: p value of the paired t test.
        detectable: the smallest true difference that so many seeds detect in 80 % of experiments.
        reliable: the decision, which is made once and stored.
    """

    a: str
    b: str
    seeds: int
    wins: int
    difference: float
    low: float
    high: float
    probability: float
    p: float
    detectable: float
    reliable: bool


@dataclass(frozen=True)
class AnswerRecord:
    """The answer of a comparison.

    Attributes:
        alerts: what to read first: baselines that no cell beats.
        winner: the cell that is reliably better than every other one, if any.
        recommended: the cell to use.
        why: what the recommendation rests on.
    """

    headline: str
    alerts: tuple[str, ...]
    reasons: tuple[str, ...]
    winner: str | None
    recommended: str | None
    why: str


@dataclass(frozen=True)
class ComparisonRecord:
    """Everything that a report needs. Lower values of the metric are better.

    Attributes:
        equal: what is equal for all cells.
        seconds: duration of the last session.
        reused: runs from earlier sessions.
    """

    command: str
    task: str
    metric: str
    unit: str
    data: DataRecord
    equal: Literal["parameters", "latency"]
    protocol: dict[str, str]
    machine: dict[str, str]
    seconds: float
    reused: int
    answer: AnswerRecord
    cells: tuple[CellRecord, ...]
    pairs: tuple[PairRecord, ...]
    baselines: tuple[BaselineRecord, ...]
    runs: tuple[RunRecord, ...]


def run_from_json(data: Any) -> RunRecord:
    """A run from plain data.

    Raises:
        InputError: ``data`` is not a run record, or its scores do not fit its status.
    """
    record: RunRecord = typed(data, RunRecord, "the record")
    finished = record.status == "finished"
    for name in ("valid", "test"):
        score = getattr(record, name)
        if (score is not None and math.isfinite(score)) != finished:
            raise InputError("RECORD", f"{name} is {score} in a run that has {record.status}")
    for name in ("learning_rate", "recurrent_dropout", "train_seconds"):
        if not math.isfinite(getattr(record, name)):
            raise InputError("RECORD", f"{name} is {getattr(record, name)}")
    return record


def in_brackets(options: Mapping[str, Any]) -> str:
    """Settings of a cell as ``--cells`` takes them; nothing if there are none.

    Args:
        options: values by name.

    Examples:
        >>> in_brackets({"layer_norm": True, "zoneout": 0.1, "forget_bias": None})
        '[layer_norm,zoneout=0.1,forget_bias=none]'
    """
    shown = (name if value is True else f"{name}={_in_words(value)}" for name, value in options.items())
    return f"[{','.join(shown)}]" if options else ""


def _in_words(value: Any) -> str:
    return str(value).lower() if value is None or value is False else str(value)
