"""What tags without a recurrent network: each word's most frequent tag, and logistic regression on its surroundings."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from tidegate.tasks.tagging.encoding import SHAPES, TaggingEncoding, ends, shape
from tidegate.tasks.tagging.record import Sentence
from tidegate.tasks.tagging.score import Chances, log_loss

STRENGTHS = (1.0, 10.0)  # C of logistic regression
ITERATIONS = 100
NUMBERS = 8_000_000  # words times tags that logistic regression learns from; ATIS with 121 slots: 6 million, a minute
PRIOR = 1.0  # words' worth of the tags of rare words, added to those of each word


@dataclass(frozen=True)
class Rival:
    """What a baseline answers on the test split.

    Attributes:
        chances: [N, tags] of all words.
        how: how they came about.
    """

    name: str
    chances: Chances
    how: str


def majority(encoding: TaggingEncoding, words: int) -> Rival:
    """The shares of the tags in training, whatever the word: all that is left of training in a trained model."""
    return Rival("majority tag", np.tile(np.array(encoding.shares), (words, 1)), "the shares of the tags in training")


def rivals(
    encoding: TaggingEncoding, train: Sequence[Sentence], valid: Sequence[Sentence], test: Sequence[Sentence]
) -> list[Rival]:
    """Both baselines, trained."""
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
    return Rival("most frequent tag", np.array([known[word] for one in test for word in one.words]), how)


def features(words: Sequence[str], at: int) -> dict[str, bool]:
    """A word with its shape and its ends, and the words next to it, as the regression reads them."""
    around = {-1: "the word before", 0: "the word", 1: "the word after"}
    named = {
        f"{name}: {words[at + step].casefold() if 0 <= at + step < len(words) else ''}" for step, name in around.items()
    }
    return dict.fromkeys([*named, *ends(words[at]), SHAPES[shape(words[at])]], True)


def _regression(
    encoding: TaggingEncoding, train: Sequence[Sentence], valid: Sequence[Sentence], test: Sequence[Sentence]
) -> Rival:
    some, said = _some(train, NUMBERS // len(encoding.tags))
    table = DictVectorizer(dtype=np.float32)
    rows = table.fit_transform(_all_features(some))
    classes = np.concatenate([encoding.targets(one.tags).numpy() for one in some])
    truth = np.concatenate([encoding.targets(one.tags).numpy() for one in valid])
    inputs = [table.transform(_all_features(part)) for part in (valid, test)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # validation judges where it stopped
        fits = [LogisticRegression(C=strength, max_iter=ITERATIONS).fit(rows, classes) for strength in STRENGTHS]
    best = min(fits, key=lambda fit: log_loss(_spread(fit, inputs[0], encoding), truth))
    how = f"logistic regression on the word, its two neighbours and its ends{said}; C = {best.C:g} chosen on validation"
    return Rival("logistic regression", _spread(best, inputs[1], encoding), how)


def _some(train: Sequence[Sentence], most: int) -> tuple[Sequence[Sentence], str]:
    """As many of the first sentences as a regression can learn from in a minute or two, and what to say of it."""
    lengths = np.cumsum([len(one.words) for one in train])
    count = max(1, int(np.searchsorted(lengths, most, side="right")))
    return train[:count], f" (from the first {lengths[count - 1]:,} words)" if count < len(train) else ""


def _all_features(sentences: Sequence[Sentence]) -> list[dict[str, bool]]:
    return [features(one.words, at) for one in sentences for at in range(len(one.words))]


def _spread(fit: LogisticRegression, inputs: object, encoding: TaggingEncoding) -> Chances:
    """[N, tags]: tags that the regression has not seen get nothing."""
    chances = np.zeros((inputs.shape[0], len(encoding.tags)))  # type: ignore[attr-defined]
    chances[:, fit.classes_] = fit.predict_proba(inputs)
    return chances
