"""n-gram models of symbols, as baselines of language models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
from numpy.typing import NDArray

from tidegate.phase import counted
from tidegate.records import BaselineRecord

Symbols = NDArray[np.int64]
Numbers = NDArray[np.float64]
LEARNT = 5_000_000  # symbols; more would take gigabytes
LONGEST = 8  # symbols of the longest n-gram that ``strongest`` tries


@dataclass(frozen=True)
class Guesses:
    """What a model without a recurrent network makes of a test text.

    Attributes:
        bits: [symbols] -log2 p of each symbol.
        density: symbols per character.
    """

    name: str
    how: str
    bits: Numbers
    density: float

    @property
    def score(self) -> float:
        """Bits per character."""
        return self.density * float(self.bits.mean())

    @property
    def record(self) -> BaselineRecord:
        """The score alone."""
        return BaselineRecord(self.name, self.score, self.how)


def uniform(vocabulary: int, symbols: int, density: float) -> Guesses:
    """All symbols are equally likely."""
    how = f"all {vocabulary - 1:,} symbols are equally likely"
    return Guesses("uniform", how, np.full(symbols, math.log2(max(2, vocabulary - 1))), density)


def ngram(
    symbols: Symbols, train: int, test: tuple[int, int], vocabulary: int, order: int, density: float = 1.0
) -> Guesses:
    """The guesses of an interpolated n-gram model on ``symbols[test[0]:test[1]]``.

    Equations:
        p_0(w) = 1 / vocabulary
        p_n(w | h) = (count(h w) + kinds(h) p_{n-1}(w | h')) / (count(h) + kinds(h))

    h are the n - 1 symbols before, h' without the oldest, and kinds(h) is the number of different symbols after h.

    Args:
        symbols: [symbols] int, below ``vocabulary``.
        train: counts come from the symbols before this place, the last five million of them.
        test: first place and one past the last.
        vocabulary: the number of symbols.
        order: n.
        density: symbols per character.

    References:
        Witten and Bell 1991, doi 10.1109/18.87000; here interpolated down to the uniform distribution.
    """
    start = max(0, train - LEARNT)
    text = np.concatenate([symbols[start:train], symbols[test[0] - order + 1 : test[1]]])
    learnt = np.arange(len(text)) < train - start
    chance = np.full(test[1] - test[0], 1 / vocabulary)
    history = np.zeros(len(text), dtype=np.int64)  # a number for the symbols before each place
    for width in counted(f"baseline: {order}-gram", range(order)):
        history = _longer(history, text, width, vocabulary)
        chance = _interpolated(history, text, learnt, vocabulary, chance)
    how = f"counts of {order} symbols in training, Witten-Bell interpolation down to the uniform distribution"
    return Guesses(f"{order}-gram", how, -np.log2(chance), density)


def strongest(
    symbols: Symbols, train: int, valid: tuple[int, int], test: tuple[int, int], vocabulary: int, density: float = 1.0
) -> Guesses:
    """The guesses of modified Kneser-Ney smoothing, of the order that validates best.

    Equations:
        p_0(w) = 1 / vocabulary
        p_n(w | h) = (c(h w) - D(c(h w)) + Σ_v D(c(h v)) p_{n-1}(w | h')) / Σ_v c(h v)

    c is the count at the highest order; at lower orders, the number of different symbols that precede
    h w. D discounts counts of one, two and more, according to how many n-grams have them.

    Args:
        symbols: [symbols] int, below ``vocabulary``.
        train: counts come from the symbols before this place, the last five million of them.
        valid: first place of the validation part, and one past its last.
        test: the same for the test part.
        vocabulary: the number of symbols.
        density: symbols per character.

    References:
        Chen and Goodman 1999, doi 10.1006/csla.1999.0128.
    """
    start = max(0, train - LEARNT)
    text = symbols[start : test[1]]
    places = [slice(first - start, last - start) for first, last in (valid, test)]
    validated: list[float] = []  # bits, by order
    models = islice(_kneser_ney(text, np.arange(len(text)) < train - start, vocabulary), LONGEST)
    for chance in counted("baseline: Kneser-Ney, order by order", models, LONGEST):
        valid_bits, test_bits = (-np.log2(chance[place]) for place in places)
        validated.append(float(valid_bits.mean()))
        if validated[-1] > min(validated):
            break
        bits = test_bits
    order = validated.index(min(validated)) + 1
    how = f"counts of up to {order} symbols in training, modified Kneser-Ney smoothing, the order that validates best"
    return Guesses(f"Kneser-Ney {order}-gram", how, bits, density)


def _kneser_ney(text: Symbols, learnt: NDArray[np.bool_], vocabulary: int) -> Iterator[Numbers]:
    """The probability of every symbol of the text, by models of order 1, 2, ..."""
    below = np.full(len(text), 1 / vocabulary)
    history = np.zeros(len(text), dtype=np.int64)
    level = _Level(history, text, learnt, vocabulary)
    for width in count(1):
        yield level.smoothed(level.counts, below)
        history = _longer(history, text, width, vocabulary)
        longer = _Level(history, text, learnt, vocabulary)
        places = np.bincount(level.pair[longer.first[longer.counts > 0]], minlength=len(level.counts))
        below, level = level.smoothed(places, below), longer


class _Level:
    """The n-grams of one order: every symbol of a text with its history."""

    def __init__(self, history: Symbols, text: Symbols, learnt: NDArray[np.bool_], vocabulary: int) -> None:
        kinds, self.first, self.pair = np.unique(history * vocabulary + text, return_index=True, return_inverse=True)
        self.counts = np.bincount(self.pair[learnt], minlength=len(kinds))
        self.history = history[self.first]  # of each n-gram

    def smoothed(self, counts: Symbols, below: Numbers) -> Numbers:
        """The probability of every symbol of the text, from counts of n-grams and the next lower order's."""
        discount = np.minimum(_discounts(counts)[counts.clip(max=3)], counts)
        total = np.bincount(self.history, counts)
        spared = np.bincount(self.history, discount)
        history = self.history[self.pair]
        seen = np.maximum(total[history], 1)
        mixed = ((counts - discount)[self.pair] + spared[history] * below) / seen
        return np.where(total[history] > 0, mixed, below)


def _discounts(counts: Symbols) -> Numbers:
    """D of counts 0, 1, 2 and more; a half of each where too few n-grams have such counts to tell."""
    n1, n2, n3, n4 = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (n1 and n2 and n3):
        return np.array([0.0, 0.5, 0.5, 0.5])
    share = n1 / (n1 + 2 * n2)
    discounts = np.array([0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3])
    return discounts.clip(0.0, [0.0, 1.0, 2.0, 3.0])


def _longer(history: Symbols, text: Symbols, width: int, vocabulary: int) -> Symbols:
    """Numbers for histories of ``width`` symbols from those that are one shorter."""
    if not width:
        return history
    before = np.concatenate([np.full(width, vocabulary), text[:-width]])  # vocabulary: before the text
    # Ranks stay below the length of the text, so codes of longer histories cannot overflow.
    return np.unique(history * (vocabulary + 1) + before, return_inverse=True)[1].astype(np.int64)


def _interpolated(
    history: Symbols, text: Symbols, learnt: NDArray[np.bool_], vocabulary: int, below: Numbers
) -> Numbers:
    pairs, first, inverse = np.unique(history * vocabulary + text, return_index=True, return_inverse=True)
    count_pair = np.bincount(inverse[learnt], minlength=len(pairs))
    size = int(history.max()) + 1
    total = np.bincount(history[learnt], minlength=size)
    kinds = np.bincount(history[first[count_pair > 0]], minlength=size)
    scored = slice(len(text) - len(below), None)
    before = history[scored]
    seen = total[before] + kinds[before]
    mixed = (count_pair[inverse[scored]] + kinds[before] * below) / np.maximum(seen, 1)
    return np.where(seen > 0, mixed, below)
