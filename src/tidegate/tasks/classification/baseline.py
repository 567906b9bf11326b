"""Classifiers without a recurrent network: class shares, logistic regression, nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from tidegate.phase import counted, phase
from tidegate.tasks.classification.ballot import STEPS, Ballot, resampled
from tidegate.tasks.classification.encoding import VOTING, Vocabulary, cut
from tidegate.tasks.classification.known import Known, ragged
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.vote import LETTERS
from tidegate.tasks.classification.warp import warped_neighbours

STRENGTHS = (1.0, 10.0, 100.0)  # C of logistic regression
ITERATIONS = 300
RANDOM = "random convolutions"
SPELT = 5_000_000  # most letters of training texts; 718,000 took 4 s
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


def text_rivals(reading: Vocabulary, train: Part, valid: Part, test: Part) -> list[Rival]:
    """Logistic regression on n-grams of the units that the model reads, and of the letters of words."""
    most = VOTING[reading.unit]
    counts = [_counted(lambda text: _grams(["", *cut(text, reading.unit), ""], 1, most), train, valid, test)]
    if not counts[0]:  # training texts without a single unit
        return []
    how = f"logistic regression on TF-IDF of 1 to {most} {reading.unit}s in a row"
    chances, chosen = _logistic(counts[0], train, valid)
    rivals = [Rival("n-grams", chances, f"{how}; {chosen}")]
    if reading.unit == "word" and sum(map(len, train.items)) <= SPELT:
        counts.append(_counted(lambda text: _spelt(cut(text, "word")), train, valid, test))
        both = [hstack(pair, format="csr") for pair in zip(*counts, strict=True)]
        chances, chosen = _logistic(both, train, valid)
        letters = f"and of {LETTERS[0]} to {LETTERS[1]} letters in a row within words"
        rivals.append(Rival("n-grams and letters", chances, f"{how}, {letters}; {chosen}"))
    return rivals


def _counted(analyzer: Callable[[str], list[str]], *parts: Part) -> list[Any]:
    """TF-IDF of each part with the weights of the first; nothing if the first has no terms."""
    phase("baseline: counting n-grams")
    counter = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, min_df=1)
    try:
        return [counter.fit_transform(parts[0].items), *(counter.transform(part.items) for part in parts[1:])]
    except ValueError:
        return []


def _spelt(words: list[str]) -> list[str]:
    return [gram for word in words for gram in _grams(["", *word, ""], *LETTERS)]


def _grams(units: list[str], least: int, most: int) -> list[str]:
    """The n-grams of units from ``least`` to ``most`` in length, joined by NUL."""
    return ["\0".join(units[at : at + n]) for n in range(least, most + 1) for at in range(len(units) - n + 1)]


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
    drawn = f", {ballot.learnt:,} series drawn" if ballot.learnt < len(known.holding.last) else ""
    ridge = f"ridge regression on {ballot.convolutions.plan.features:,} features of random convolutions (MiniRocket)"
    rivals = [
        _sure(RANDOM, random(ballot.convolutions(values, lengths)), f"{ridge}; {random.how}{drawn}"),
        _sure("linear", linear(even.flatten(1)), f"logistic regression on {STEPS} steps; {linear.how}{drawn}"),
    ]
    rows = known.holding.last
    nearest = resampled(*ragged([known.series[row] for row in rows])).numpy()
    return rivals + _neighbours(nearest, known.classes[rows], even.numpy(), known.kinds)


def _sure(name: str, logits: torch.Tensor, how: str) -> Rival:
    return Rival(name, logits.softmax(1).numpy(), f"{how}, chosen on series held out")


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


def _logistic(features: list[Any], train: Part, valid: Part) -> tuple[Chances, str]:
    """Probabilities on the test part at the penalty that validates best, and how it was chosen."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges where it stopped
        fits = [
            LogisticRegression(C=strength, max_iter=ITERATIONS).fit(features[0], train.classes)
            for strength in counted("baseline: logistic regression", STRENGTHS)
        ]
    best = min(fits, key=lambda fit: log_loss(fit.predict_proba(features[1]), valid.classes))
    return best.predict_proba(features[2]), f"penalty chosen on validation (C = {best.C:g})"


def _answered(name: str, answers: Classes, classes: int, how: str) -> Rival:
    return Rival(name, np.eye(classes)[answers], how, probable=False)
