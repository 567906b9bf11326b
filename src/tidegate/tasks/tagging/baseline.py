"""Taggers without a recurrent network: the most frequent tag of each word, and logistic regression on its context."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from tidegate.phase import counted, phase
from tidegate.tasks.tagging.encoding import SHAPES, STRANGE, TaggingEncoding, ends, shape
from tidegate.tasks.tagging.record import Sentence
from tidegate.tasks.tagging.score import Chances, log_loss

STRENGTHS = (1.0, 10.0)  # C of logistic regression
ITERATIONS = 100
NUMBERS = 8_000_000  # most words times tags for logistic regression; ATIS with 121 slots: 6 million, a minute
PRIOR = 1.0  # weight, in words, of the tags of rare words that are added to those of each word


@dataclass(frozen=True)
class Rival:
    """The predictions of a baseline on the test split.

    Attributes:
        chances: [N, tags] of all words.
        how: how the baseline was trained.
    """

    name: str
    chances: Chances
    how: str


def majority(encoding: TaggingEncoding, words: int) -> Rival:
    """The shares of the tags in training, for every word; a trained model knows no more of its training data."""
    return Rival("majority tag", np.tile(np.array(encoding.shares), (words, 1)), "the shares of the tags in training")


def majority_of_test(targets: NDArray[Any], kinds: int) -> Rival:
    """The shares of the tags in the test itself, for a private model, beside which none of training are known."""
    known = targets[targets != STRANGE]
    shares = (np.bincount(known, minlength=kinds) + 1) / (len(known) + kinds)
    how = "the shares of the tags, (words + 1) / (all words + tags) in the test"
    return Rival("majority of the test", np.tile(shares, (len(targets), 1)), how)


def rivals(
    encoding: TaggingEncoding, train: Sequence[Sentence], valid: Sequence[Sentence], test: Sequence[Sentence]
) -> list[Rival]:
    """Train both baselines."""
    return [_own_tag(encoding, train, test), _regression(encoding, train, valid, test)]


def _own_tag(encoding: TaggingEncoding, train: Sequence[Sentence], test: Sequence[Sentence]) -> Rival:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            counts[word][tag] += 1
    once = Counter(tag for own in counts.values() if own.total() == 1 for tag in own)
    rare = np.array([once[tag] for tag in encoding.tags]) + np.array(encoding.shares)
    rare /= rare.sum()

    def of(word: str) -> Chances:
        own = counts.get(word, Counter())
        total = np.array([own[tag] for tag in encoding.tags]) + PRIOR * rare
        shares: Chances = total / total.sum()
        return shares

    known = {word: of(word) for sentence in test for word in sentence.words}
    how = "each word's most frequent tag in training; a new word's is that of the words that training has once"
    return Rival("most frequent tag", np.array([known[word] for sentence in test for word in sentence.words]), how)


def features(words: Sequence[str], at: int) -> dict[str, bool]:
    """A word with its shape and its ends, and the words next to it, as features of the regression."""
    around = {-1: "the word before", 0: "the word", 1: "the word after"}
    named = {
        f"{name}: {words[at + step].casefold() if 0 <= at + step < len(words) else ''}" for step, name in around.items()
    }
    return dict.fromkeys([*named, *ends(words[at]), SHAPES[shape(words[at])]], True)


def _regression(
    encoding: TaggingEncoding, train: Sequence[Sentence], valid: Sequence[Sentence], test: Sequence[Sentence]
) -> Rival:
    sentences, note = _first(train, NUMBERS // len(encoding.tags))
    phase("baseline: counting words")
    table = DictVectorizer(dtype=np.float32)
    rows = table.fit_transform(_all_features(sentences))
    classes = np.concatenate([encoding.targets(sentence.tags).numpy() for sentence in sentences])
    truth = np.concatenate([encoding.targets(sentence.tags).numpy() for sentence in valid])
    inputs = [table.transform(_all_features(part)) for part in (valid, test)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges where it stopped
        strengths = counted("baseline: logistic regression", STRENGTHS)
        fits = [LogisticRegression(C=strength, max_iter=ITERATIONS).fit(rows, classes) for strength in strengths]
    best = min(fits, key=lambda fit: log_loss(_spread(fit, inputs[0], encoding), truth))
    how = f"logistic regression on the word, its two neighbours and its ends{note}; C = {best.C:g} chosen on validation"
    return Rival("logistic regression", _spread(best, inputs[1], encoding), how)


def _first(train: Sequence[Sentence], most: int) -> tuple[Sequence[Sentence], str]:
    """The first sentences, as many as a regression learns from in a minute or two, and a note if some are left out."""
    lengths = np.cumsum([len(sentence.words) for sentence in train])
    count = max(1, int(np.searchsorted(lengths, most, side="right")))
    return train[:count], f" (from the first {lengths[count - 1]:,} words)" if count < len(train) else ""


def _all_features(sentences: Sequence[Sentence]) -> list[dict[str, bool]]:
    return [features(sentence.words, at) for sentence in sentences for at in range(len(sentence.words))]


def _spread(fit: LogisticRegression, inputs: object, encoding: TaggingEncoding) -> Chances:
    """[N, tags] probabilities; 0 for tags that the regression has not seen."""
    chances = np.zeros((inputs.shape[0], len(encoding.tags)))  # type: ignore[attr-defined]
    chances[:, fit.classes_] = fit.predict_proba(inputs)
    return chances
