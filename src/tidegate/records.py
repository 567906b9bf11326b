"""The schema of what an experiment leaves behind.

``train`` and ``compare`` write these records; ``report`` reads them and never trains. Every
record is plain data that survives JSON.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from tidegate.errors import InputError


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the training data. ``train`` is the loss that was minimised, ``valid`` the metric."""

    epoch: int
    train: float
    valid: float
    gradient_norm: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class RunRecord:
    """One run of a cell with a seed. ``run`` is the content hash of everything that determines it.

    ``learning_rate`` and ``dropout`` are those of the tuning trial with the best validation score, and
    ``curve`` is that trial's, while ``train_seconds`` counts all trials. ``status`` is ``"finished"`` or
    ``"diverged"`` (a loss that is not finite, in every trial or in the test); of a diverged run ``valid``
    and ``test`` are None.
    """

    run: str
    cell: str
    seed: int
    hidden_size: int
    parameters: int
    status: str
    valid: float | None
    test: float | None
    best_epoch: int
    learning_rate: float
    dropout: float
    train_seconds: float
    curve: tuple[EpochRecord, ...]


@dataclass(frozen=True)
class BaselineRecord:
    """A score that needs no recurrent network, on the same test data and in the same unit.

    ``rival`` says that it lies inside the interval of the best cell, or below it.
    """

    name: str
    score: float
    how: str
    rival: bool = False


@dataclass(frozen=True)
class StepRecord:
    """One step of training: where it stands in its epoch, and what it cost; over all processes together.

    ``steps`` is how many the first epoch of this session has, ``total`` how many there were in all epochs, ``items``
    counts the scored terms of this step (characters, tokens, values), ``seconds`` is its time.
    """

    epoch: int
    step: int
    steps: int
    loss: float
    gradient_norm: float
    items: int
    seconds: float
    total: int


@dataclass(frozen=True)
class ScoreRecord:
    """One score of a trained model on the test split, and the same score of each naive baseline."""

    name: str
    value: float
    unit: str = ""
    better: str = "lower"
    baselines: dict[str, float] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class CellRecord:
    """What a comparison found about one cell.

    ``mean``, ``low`` and ``high`` are the mean test score over seeds and its 95 % t interval, None
    where fewer than one (two) runs finished. ``name`` is the name under which the cell took part, the
    name of its definition stands in ``graph``, the cell as data.
    """

    name: str
    graph: dict[str, Any]
    source: str
    differs: str
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


@dataclass(frozen=True)
class PairRecord:
    """Cell ``a`` against cell ``b`` on their common seeds; differences are a minus b.

    ``probability`` is the predicted probability that a scores better than b on a new seed, ``wins``
    how often it did, ``p`` the paired t test, ``p_holm`` the same corrected for all pairs,
    ``detectable`` the smallest true difference that this many seeds find in 80 % of experiments.
    ``reliable`` is the decision, taken here and nowhere else.
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
    p_holm: float
    detectable: float
    reliable: bool


@dataclass(frozen=True)
class AnswerRecord:
    """What the comparison says: one line, its reasons, the winner if there is one, and what to take.

    ``alerts`` belong before everything else: baselines that no cell beats.
    """

    headline: str
    alerts: tuple[str, ...]
    reasons: tuple[str, ...]
    winner: str | None
    recommended: str | None


@dataclass(frozen=True)
class DataRecord:
    """The data of a comparison: where it came from, its content hash and how it was split."""

    name: str
    hash: str
    description: str
    licence: str
    split: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ComparisonRecord:
    """Everything a report needs. The metric is better when lower.

    ``seconds`` is the time of the last session, in which all runs but ``reused`` of them were trained.
    """

    command: str
    task: str
    metric: str
    unit: str
    data: DataRecord
    protocol: dict[str, str]
    machine: dict[str, str]
    seconds: float
    reused: int
    answer: AnswerRecord
    cells: tuple[CellRecord, ...]
    pairs: tuple[PairRecord, ...]
    baselines: tuple[BaselineRecord, ...]
    runs: tuple[RunRecord, ...]


def to_json(record: Any) -> dict[str, Any]:
    """Plain data of a record, nested records included."""
    return dataclasses.asdict(record)


def run_from_json(data: dict[str, Any]) -> RunRecord:
    """Read back a run.

    Raises:
        InputError: ``data`` is not a run record.
    """
    try:
        curve = tuple(EpochRecord(**epoch) for epoch in data["curve"])
        return RunRecord(**{**data, "curve": curve})
    except (KeyError, TypeError) as error:
        raise InputError("RECORD", f"this is not a run record: {error}") from error
