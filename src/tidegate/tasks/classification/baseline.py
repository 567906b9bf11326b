"""What classifies without a recurrent network: class shares, n-grams, straight lines, nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from tidegate.tasks.classification.encoding import VOTING, Scale, Vocabulary, cut
from tidegate.tasks.classification.score import log_loss
from tidegate.tasks.classification.vote import LETTERS
from tidegate.tasks.classification.warp import warped_neighbours

STEPS = 64  # to which series are resampled
STRENGTHS = {"text": (1.0, 10.0, 100.0), "series": (0.01, 0.1, 1.0, 10.0)}  # C of logistic regression
ITERATIONS = 300
SPELT = 5_000_000  # letters of training texts; 718,000 took 4 s
WARPED = 3_000_000_000  # cells of dynamic time warping, about a minute
PAIRS = 1_000_000_000  # of test and training series

Chances = NDArray[np.float64]
Classes = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """Sequences and their classes."""

    items: Sequence[Any]
    classes: Classes


@dataclass(frozen=True)
class Rival:
    """What a baseline answers on the test split.

    Attributes:
        chances: [N, classes] probabilities; of a baseline that has none, 1 for its answer.
        how: how they came about.
        probable: whether these are probabilities, so that their likelihood means something.
    """

    name: str
    chances: Chances
    how: str
    probable: bool = True


def majority(shares: Sequence[float], rows: int) -> Rival:
    """The shares of the classes in training, whatever the sequence."""
    return Rival("majority class", np.tile(np.array(shares), (rows, 1)), "the shares of the classes in training")


def text_rivals(reading: Vocabulary, train: Part, valid: Part, test: Part) -> list[Rival]:
    """Logistic regression on n-grams of the units that the model reads, and of the letters of words."""
    most = VOTING[reading.unit]
    counts = [_counted(lambda text: _grams(["", *cut(text, reading.unit), ""], 1, most), train, valid, test)]
    if not counts[0]:  # training texts without a single unit
        return []
    how = f"logistic regression on TF-IDF of 1 to {most} {reading.unit}s in a row"
    chances, chosen = _logistic("text", counts[0], train, valid)
    found = [Rival("n-grams", chances, f"{how}; {chosen}")]
    if reading.unit == "word" and sum(map(len, train.items)) <= SPELT:
        counts.append(_counted(lambda text: _spelt(cut(text, "word")), train, valid, test))
        both = [hstack(pair, format="csr") for pair in zip(*counts, strict=True)]
        chances, chosen = _logistic("text", both, train, valid)
        letters = f"and of {LETTERS[0]} to {LETTERS[1]} letters in a row within words"
        found.append(Rival("n-grams and letters", chances, f"{how}, {letters}; {chosen}"))
    return found


def _counted(analyzer: Callable[[str], list[str]], *parts: Part) -> list[Any]:
    """TF-IDF of each part, weighed by the first one; nothing where that holds nothing."""
    counter = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True, min_df=1)
    try:
        return [counter.fit_transform(parts[0].items), *(counter.transform(part.items) for part in parts[1:])]
    except ValueError:
        return []


def _spelt(words: list[str]) -> list[str]:
    return [gram for word in words for gram in _grams(["", *word, ""], *LETTERS)]


def _grams(units: list[str], least: int, most: int) -> list[str]:
    """Of texts or words between their ends, which are worth knowing."""
    return ["\0".join(units[at : at + n]) for n in range(least, most + 1) for at in range(len(units) - n + 1)]


def series_rivals(reading: Scale, train: Part, valid: Part, test: Part) -> list[Rival]:
    """Logistic regression and nearest neighbours on series that are resampled to 64 steps."""
    even = [np.stack([_resampled(reading.scaled(one)) for one in part.items]) for part in (train, valid, test)]
    flat = [one.reshape(len(one), -1) for one in even]
    level = StandardScaler().fit(flat[0])
    how = f"logistic regression on the values, resampled to {STEPS} steps"
    chances, chosen = _logistic("series", [level.transform(one) for one in flat], train, valid)
    found = [Rival("linear", chances, f"{how}; {chosen}")]
    classes = int(max(part.classes.max() for part in (train, valid, test))) + 1
    pairs = len(flat[0]) * len(flat[2])
    if pairs <= PAIRS:
        nearest = KNeighborsClassifier(1).fit(flat[0], train.classes).predict(flat[2])
        found.append(_answered("1-NN", nearest, classes, f"the nearest training series, Euclid over {STEPS} steps"))
    if pairs * STEPS**2 <= WARPED:
        nearest = train.classes[warped_neighbours(even[2], even[0])]
        how = f"the nearest training series by dynamic time warping over {STEPS} steps"
        found.append(_answered("1-NN DTW", nearest, classes, how))
    return found


def _resampled(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """[T, C] to [64, C], linear between steps."""
    at = np.linspace(0, len(values) - 1, STEPS)
    return np.stack([np.interp(at, np.arange(len(values)), channel) for channel in values.T], axis=1)


def _logistic(kind: str, features: list[Any], train: Part, valid: Part) -> tuple[Chances, str]:
    """Probabilities on the test part at the penalty that validates best, and what to say of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges where it stopped
        fits = [
            LogisticRegression(C=strength, max_iter=ITERATIONS).fit(features[0], train.classes)
            for strength in STRENGTHS[kind]
        ]
    best = min(fits, key=lambda fit: log_loss(fit.predict_proba(features[1]), valid.classes))
    return best.predict_proba(features[2]), f"penalty chosen on validation (C = {best.C:g})"


def _answered(name: str, answers: Classes, classes: int, how: str) -> Rival:
    return Rival(name, np.eye(classes)[answers], how, probable=False)
