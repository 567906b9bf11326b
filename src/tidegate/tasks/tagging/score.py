"""Scores of taggers from the probabilities that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.tasks.tagging.scheme import span_score

LEAST = 1e-12  # a probability of 0 would cost infinitely much
# name: (unit, which is better)
SCORES = {
    "NLL": ("nats per word", "lower"),
    "accuracy": ("", "higher"),
    "accuracy on unknown words": ("", "higher"),
    "span F1": ("", "higher"),
    "span precision": ("", "higher"),
    "span recall": ("", "higher"),
}

Chances = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """The true tags of the test.

    Attributes:
        tags: the tags of each sentence.
        targets: [N] their places among the tags of training, over all sentences; -1 for a tag that training lacks.
        unknown: [N] words that training lacks.
        names: the tags of training.
        marked: whether tags mark spans.
    """

    tags: Sequence[Sequence[str]]
    targets: NDArray[np.int64]
    unknown: NDArray[np.bool_]
    names: Sequence[str]
    marked: bool


def scored(chances: Chances, truth: Truth) -> dict[str, float]:
    """Every score of ``SCORES`` that the data allow.

    The NLL leaves out words whose tag training lacks; for all other scores they are errors.

    Args:
        chances: [N, tags] of all words.
        truth: the true tags of these words.
    """
    best = chances.argmax(1)
    right = best == truth.targets
    scores = {"NLL": log_loss(chances, truth.targets), "accuracy": float(right.mean())}
    if truth.unknown.any():
        scores["accuracy on unknown words"] = float(right[truth.unknown].mean())
    if truth.marked:
        spans = span_score(truth.tags, _cut([truth.names[k] for k in best], truth.tags))
        scores |= {"span F1": spans.f1, "span precision": spans.precision, "span recall": spans.recall}
    return scores


def log_loss(chances: Chances, targets: NDArray[np.int64]) -> float:
    """Mean of -log p(tag) over words whose tag training knows, in nats; probabilities below 1e-12 count as that."""
    known = np.flatnonzero(targets >= 0)
    return float(-np.log(np.maximum(chances[known, targets[known]], LEAST)).mean())


def _cut(answers: Sequence[str], like: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Cut the answers of all words into sentences."""
    bounds = np.cumsum([0, *map(len, like)])
    return [answers[first:last] for first, last in pairwise(bounds)]
