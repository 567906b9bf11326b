"""Classifiers without a recurrent network: class shares, logistic regression, nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from tidegate.phase import phase
from tidegate.tasks.classification.ballot import STEPS, Ballot, resampled
from tidegate.tasks.classification.known import Known, ragged
from tidegate.tasks.classification.ngram import NgramBallot
from tidegate.tasks.classification.warp import warped_neighbours

RANDOM = "random convolutions"
WARPED = 3_000_000_000  # most cells of dynamic time warping, about a minute
PAIRS = 1_000_000_000  # most pairs of a test and a training series

Chances = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Sequences and their classes."""

    items: Sequence[Any]
    classes: Classes


@dataclass(frozen=True)
class Rival:
    """The predictions of a baseline on the test split.

    Attributes:
        chances: [N, classes] probabilities; 1 for the predicted class if the baseline has none.
        how: how the baseline was trained.
        probable: whether ``chances`` are probabilities, so that their likelihood has a meaning.
    """

    name: str
    chances: Chances
    how: str
    probable: bool = True


def majority(shares: Sequence[float], rows: int) -> Rival:
    """The shares of the classes in training, for every sequence."""
    return Rival("majority class", np.tile(np.array(shares), (rows, 1)), "the shares of the classes in training")


def majority_of_test(truth: NDArray[Any], kinds: int) -> Rival:
    """The shares of the classes in the test itself, for a private model, beside which none of training are known."""
    shares = (np.bincount(truth, minlength=kinds) + 1) / (len(truth) + kinds)
    how = "the shares of the classes, (rows + 1) / (all rows + classes) in the test"
    return Rival("majority of the test", np.tile(shares, (len(truth), 1)), how)


def text_rivals(ballot: NgramBallot, test: Iterable[torch.Tensor], rows: int) -> list[Rival]:
    """Logistic regression on n-grams of the units that the model reads, and of the letters of words.

    Args:
        ballot: fitted votes.
        test: encoded texts.
        rows: that may be learnt from.
    """
    drawn = _drawn(len(ballot.holding.last), rows)
    return [_sure(name, logits, f"{how}{drawn}") for name, logits, how in ballot.answers(test)]


def series_rivals(ballot: Ballot, known: Known, test: Sequence[torch.Tensor]) -> list[Rival]:
    """Random convolutions, logistic regression and nearest neighbours.

    Args:
        ballot: fitted votes.
        known: the series to learn from.
        test: [T, C] each.
    """
    values, lengths = ragged(test)
    even = resampled(values, lengths)
    random, linear = ballot.random, ballot.values
    drawn = _drawn(ballot.learnt, len(known.holding.last))
    ridge = f"ridge regression on {ballot.convolutions.plan.features:,} features of random convolutions (MiniRocket)"
    rivals = [
        _sure(RANDOM, random(ballot.convolutions(values, lengths)), f"{ridge}; {random.how}{drawn}"),
        _sure("linear", linear(even.flatten(1)), f"logistic regression on {STEPS} steps; {linear.how}{drawn}"),
    ]
    rows = known.holding.last
    nearest = resampled(*ragged([known.items[row] for row in rows])).numpy()
    return rivals + _neighbours(nearest, known.classes[rows], even.numpy(), known.kinds)


def _drawn(learnt: int, rows: int) -> str:
    return f", {learnt:,} rows drawn" if learnt < rows else ""


def _sure(name: str, logits: torch.Tensor, how: str) -> Rival:
    return Rival(name, logits.softmax(1).numpy(), f"{how}, chosen on rows held out")


def _neighbours(known: Chances, answers: Classes, test: Chances, kinds: int) -> list[Rival]:
    """The nearest series, where there are few enough pairs of them."""
    rivals, pairs = [], len(known) * len(test)
    if pairs <= PAIRS:
        phase("baseline: nearest neighbours")
        flat = [part.reshape(len(part), -1) for part in (known, test)]
        nearest = KNeighborsClassifier(1).fit(flat[0], answers).predict(flat[1])
        rivals.append(_answered("1-NN", nearest, kinds, f"the nearest training series, Euclid over {STEPS} steps"))
    if pairs * STEPS**2 <= WARPED:
        nearest = answers[warped_neighbours(test, known)]
        how = f"the nearest training series by dynamic time warping over {STEPS} steps"
        rivals.append(_answered("1-NN DTW", nearest, kinds, how))
    return rivals


def _answered(name: str, answers: Classes, classes: int, how: str) -> Rival:
    return Rival(name, np.eye(classes)[answers], how, probable=False)
