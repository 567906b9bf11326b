"""Scores of taggers from the probabilities that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tidegate.tasks.tagging.scheme import span_score
from tidegate.train.sample import Sample

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
    return float(_losses(chances, targets).mean())


def samples(chances: Chances, truth: Truth) -> dict[str, Sample]:
    """The errors of each sentence, by the scores that decide whether a model is better."""
    lengths = [len(tags) for tags in truth.tags]
    known = truth.targets >= 0
    edges = np.cumsum(lengths)[:-1]
    return {
        "NLL": Sample.grouped(_losses(chances, truth.targets), [int(part.sum()) for part in np.split(known, edges)]),
        "accuracy": Sample.grouped(chances.argmax(1) != truth.targets, lengths),
    }


def _losses(chances: Chances, targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """-log p(tag) of each word whose tag training knows."""
    known = np.flatnonzero(targets >= 0)
    losses: NDArray[np.float64] = -np.log(np.maximum(chances[known, targets[known]], LEAST))
    return losses


def _cut(answers: Sequence[str], like: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """Cut the answers of all words into sentences."""
    bounds = np.cumsum([0, *map(len, like)])
    return [answers[first:last] for first, last in pairwise(bounds)]
