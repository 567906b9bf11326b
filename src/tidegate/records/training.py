"""Records of training: epochs, steps, scores, and the verdict against the baselines."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class EpochRecord:
    """One pass over the training data.

    Attributes:
        train: the loss; None in what a private training keeps, since it is made of training rows without noise.
        valid: the metric on the validation split.
        seconds: 0 in what a private training keeps, since long rows take long.
        epsilon: what a private training has spent so far.
    """

    epoch: int
    train: float | None
    valid: float
    gradient_norm: float
    learning_rate: float
    seconds: float
    epsilon: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as JSON data, without an epsilon that there is not."""
        data = dataclasses.asdict(self)
        return data if self.epsilon is not None else {name: data[name] for name in data if name != "epsilon"}

    @property
    def kept(self) -> EpochRecord:
        """The part of the record of a private training that files may hold."""
        return dataclasses.replace(self, train=None, seconds=0.0)


@dataclass(frozen=True)
class BaselineRecord:
    """The score of a method without a recurrent network, on the same test data and in the same unit.

    ``rival`` is true if the score is inside the interval of the best cell, or better.
    """

    name: str
    score: float
    how: str
    rival: bool = False


@dataclass(frozen=True)
class StepRecord:
    """One step of training, summed over all processes.

    Attributes:
        steps: in the first epoch of this session.
        items: scored terms in this step: characters, tokens or values.
        total: steps so far in all epochs.
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
    """One score of a trained model on the test split, of each baseline, and of each part of the model by itself.

    Attributes:
        errors: the standard error of the model's value less that of a baseline, where the score decides whether the
            model is better.
        over: of what the test has so many that are independent of each other, such as ``"1,821 rows"``.
    """

    name: str
    value: float
    unit: str = ""
    better: str = "lower"
    baselines: dict[str, float] = dataclasses.field(default_factory=dict)
    parts: dict[str, float] = dataclasses.field(default_factory=dict)
    errors: dict[str, float] = dataclasses.field(default_factory=dict)
    over: str = ""


Outcome = Literal["better", "level", "worse"]


@dataclass(frozen=True)
class ContestRecord:
    """A model against its best baseline in one score. It is level within one standard error of the difference."""

    outcome: Outcome
    score: str
    value: float
    baseline: str
    baseline_value: float
    standard_error: float
    over: str


@dataclass(frozen=True)
class VerdictRecord:
    """Whether a trained model is worth more than its baselines.

    Attributes:
        outcome: worse if it is worse in any score that decides; else better if it is better in any; else level.
        contests: those scores.
        text: the same in a sentence.
        advice: what to use instead, and what to try; empty for a model that is better.
    """

    outcome: Outcome
    contests: tuple[ContestRecord, ...]
    text: str
    advice: str


@dataclass(frozen=True)
class DataRecord:
    """The data of a training or a comparison: their origin, content hash and split.

    Attributes:
        test: the name of the file for the test; empty if the test is a part of the data.
    """

    name: str
    hash: str
    description: str
    licence: str
    split: str
    warnings: tuple[str, ...]
    test: str = ""
