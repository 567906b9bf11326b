"""Character n-gram models: language scores without a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tidegate.records import BaselineRecord

Symbols = NDArray[np.int64]
LEARNT = 5_000_000  # characters; more would take gigabytes


def ngram(symbols: Symbols, train: int, test: tuple[int, int], vocabulary: int, order: int) -> BaselineRecord:
    """Bits per character of an interpolated n-gram model on ``symbols[test[0]:test[1]]``.

    Equations:
        p_0(w) = 1 / vocabulary
        p_n(w | h) = (count(h w) + kinds(h) p_{n-1}(w | h')) / (count(h) + kinds(h))

    h are the n - 1 symbols before, h' without the oldest, and kinds(h) is how many different symbols followed h.

    Args:
        symbols: [characters] int, below ``vocabulary``.
        train: counts come from the symbols before this place, the last five million of them.
        test: first place and one past the last.
        vocabulary: how many symbols there are.
        order: n.

    References:
        Witten and Bell 1991, doi 10.1109/18.87000; here interpolated down to the uniform distribution.
    """
    start = max(0, train - LEARNT)
    text = np.concatenate([symbols[start:train], symbols[test[0] - order + 1 : test[1]]])
    learnt = np.arange(len(text)) < train - start
    chance = np.full(test[1] - test[0], 1 / vocabulary)
    history = np.zeros(len(text), dtype=np.int64)  # a number for the symbols before each place
    for width in range(order):
        if width:
            before = np.concatenate([np.full(width, vocabulary), text[:-width]])  # vocabulary: before the text
            history = _rank(history * (vocabulary + 1) + before)
        chance = _interpolated(history, text, learnt, vocabulary, chance)
    how = f"counts of {order} characters in training, Witten-Bell interpolation down to the uniform distribution"
    return BaselineRecord(f"{order}-gram", float(-np.log2(chance).mean()), how)


def _rank(codes: Symbols) -> Symbols:
    # Ranks stay below the length of the text, so codes of longer histories cannot overflow.
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _interpolated(
    history: Symbols, text: Symbols, learnt: NDArray[np.bool_], vocabulary: int, below: NDArray[np.float64]
) -> NDArray[np.float64]:
    pairs, first, inverse = np.unique(history * vocabulary + text, return_index=True, return_inverse=True)
    count_pair = np.bincount(inverse[learnt], minlength=len(pairs))
    size = int(history.max()) + 1
    count = np.bincount(history[learnt], minlength=size)
    kinds = np.bincount(history[first[count_pair > 0]], minlength=size)
    scored = slice(len(text) - len(below), None)
    before = history[scored]
    total = count[before] + kinds[before]
    mixed = (count_pair[inverse[scored]] + kinds[before] * below) / np.maximum(total, 1)
    return np.where(total > 0, mixed, below)
