"""Records of what answers rest on: attributions, parts that are held, shortened history.

A number that is not finite is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidegate.records.trace import Series


@dataclass(frozen=True)
class ShareRecord:
    """What one part of a model, or of an answer, contributes.

    Attributes:
        part: such as ``"anchor"``, ``"votes"`` or ``"layers"``.
        share: a fraction of the answer, or a contribution in the unit of the answer.
    """

    part: str
    share: float | None
    how: str = ""


@dataclass(frozen=True)
class AttributionRecord:
    """What an answer rests on, by lag and feature.

    Attributes:
        target: the answer, such as ``"horizon 3"``.
        unit: of the answer and of all contributions.
        lags: steps before the step of the answer.
        values: for each lag, for each feature, its contribution, averaged over sequences.
        sizes: the same of its absolute value.
        parts: contributions of whole parts of the model; ``start`` and they sum to ``answer``.
        baseline: the input that contributions are counted from.
        start, answer: the answer at the baseline, and at the input.
        completeness_error: how far contributions miss the difference of the two, relative to it.
        abstained: why there is no attribution; empty if there is one.
    """

    target: str
    unit: str = ""
    features: tuple[str, ...] = ()
    lags: tuple[int, ...] = ()
    values: tuple[Series, ...] = ()
    sizes: tuple[Series, ...] = ()
    parts: tuple[ShareRecord, ...] = ()
    baseline: str = ""
    start: float | None = None
    answer: float | None = None
    completeness_error: float | None = None
    points: int = 0
    abstained: str = ""


@dataclass(frozen=True)
class ContextRecord:
    """The score with a shortened history.

    Attributes:
        lengths: of the history, in steps.
        low, high: of the score, over sequences; empty if there is one only.
        reach: the shortest history whose score is as good as that of the longest, within its error; None if none is.
    """

    lengths: tuple[int, ...]
    scores: Series
    metric: str
    low: Series = ()
    high: Series = ()
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"
    reach: int | None = None


@dataclass(frozen=True)
class ForcingRecord:
    """The score by horizon, with the true past as input and with the model's own answers."""

    horizons: tuple[int, ...]
    forced: Series
    free: Series
    metric: str
    unit: str = ""


@dataclass(frozen=True)
class ChangeRecord:
    """How the loss changes without one part.

    Attributes:
        name: such as ``"lstm.l0[12]"``, or of a feature.
        change: the mean over sequences of what the loss becomes, less what it is.
        error: the standard error of that mean; None for a single sequence.
    """

    name: str
    change: float
    error: float | None


@dataclass(frozen=True)
class AblationRecord:
    """What the loss becomes without single parts: each held at its mean.

    Attributes:
        part: what was held.
        loss: of the whole model.
        unit: of losses.
        changes: the largest first.
        count: how many such parts the model has; the others were not held.
    """

    part: str
    loss: float
    unit: str
    changes: tuple[ChangeRecord, ...]
    count: int
