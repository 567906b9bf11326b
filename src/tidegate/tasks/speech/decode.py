"""Decoding and alignment for connectionist temporal classification (CTC)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

BLANK = 0
NEVER = -math.inf

Symbols = tuple[int, ...]


@dataclass(frozen=True)
class Hypothesis:
    """Symbols, and the logarithm of their probability over all alignments."""

    symbols: Symbols
    log_probability: float


def best_path(log_probabilities: torch.Tensor) -> Symbols:
    """The symbols of the most probable alignment, which need not be the most probable symbols.

    Args:
        log_probabilities: [T, symbols], blank first.
    """
    return tuple(symbol for symbol, _ in groupby(log_probabilities.argmax(-1).tolist()) if symbol != BLANK)


def beam_search(log_probabilities: torch.Tensor, width: int, best: int = 1) -> list[Hypothesis]:
    """Search for the most probable symbols, summed over their alignments.

    Equations:
        b[t](l) = (b[t-1](l) + n[t-1](l)) p[t](blank)                 (alignments of prefix l that end in a blank)
        n[t](l k) = n[t-1](l k) p[t](k) + (b[t-1](l) + [k differs from the last of l] n[t-1](l)) p[t](k)

    Args:
        log_probabilities: [T, symbols], blank first.
        width: the number of prefixes to keep after each step; the result is exact if that is all of them.
        best: the number of hypotheses to return, the most probable first.

    References:
        Graves et al. 2006, doi 10.1145/1143844.1143891; prefix beam search as in Hannun et al. 2014, arXiv 1408.2873,
        without a language model.
    """
    beam: dict[Symbols, tuple[float, float]] = {(): (0.0, NEVER)}  # prefix: log b, log n
    for step in log_probabilities.double().tolist():
        beam = _pruned(_extended(beam, step), width)
    hypotheses = [Hypothesis(prefix, _total(ends)) for prefix, ends in beam.items()]
    return sorted(hypotheses, key=lambda hypothesis: hypothesis.log_probability, reverse=True)[:best]


def _extended(beam: dict[Symbols, tuple[float, float]], step: list[float]) -> dict[Symbols, tuple[float, float]]:
    blank: dict[Symbols, float] = defaultdict(lambda: NEVER)
    symbol: dict[Symbols, float] = defaultdict(lambda: NEVER)
    for prefix, (ends_blank, ends_symbol) in beam.items():
        both = _add(ends_blank, ends_symbol)
        blank[prefix] = _add(blank[prefix], both + step[BLANK])
        last = prefix[-1] if prefix else BLANK
        if prefix:
            symbol[prefix] = _add(symbol[prefix], ends_symbol + step[last])
        for k, chance in enumerate(step):
            if k != BLANK and chance > NEVER:
                longer = (*prefix, k)
                symbol[longer] = _add(symbol[longer], (ends_blank if k == last else both) + chance)
    return {prefix: (blank[prefix], symbol[prefix]) for prefix in {**blank, **symbol}}


def _pruned(beam: dict[Symbols, tuple[float, float]], width: int) -> dict[Symbols, tuple[float, float]]:
    # "a a" is impossible, for example, without a step in between for a blank.
    possible = [prefix for prefix in beam if _total(beam[prefix]) > NEVER]
    order = sorted(possible, key=lambda prefix: (-_total(beam[prefix]), prefix))[:width]
    return {prefix: beam[prefix] for prefix in order}


def _total(ends: tuple[float, float]) -> float:
    return _add(*ends)


def _add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))."""
    low, high = (a, b) if a < b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))


def align(log_probabilities: torch.Tensor, symbols: Sequence[int]) -> list[tuple[int, int]]:
    """First and last step of each symbol in the most probable alignment.

    Args:
        log_probabilities: [T, symbols], blank first.
        symbols: the transcript; it must fit into T steps.

    Raises:
        ValueError: it does not fit.
    """
    if not symbols:
        return []
    step = log_probabilities.double().numpy()
    path = _viterbi(step, np.array([BLANK, *(state for symbol in symbols for state in (symbol, BLANK))]))
    places = [np.flatnonzero(path == 2 * k + 1) for k in range(len(symbols))]
    return [(int(place[0]), int(place[-1])) for place in places]


def _viterbi(step: NDArray[np.float64], states: NDArray[np.int64]) -> NDArray[np.int64]:
    """[T] the state of each step; states are blank, symbol, blank, ..., where a path may skip a blank."""
    count = len(states)
    skips = np.array([k >= 2 and states[k] != BLANK and states[k] != states[k - 2] for k in range(count)])
    score = np.where(np.arange(count) < 2, step[0, states], NEVER)
    moves = np.zeros((len(step), count), np.int64)
    for time in range(1, len(step)):
        advance = np.concatenate([[NEVER], score[:-1]])
        skip = np.where(skips, np.concatenate([[NEVER, NEVER], score[:-2]])[:count], NEVER)
        choices = np.stack([score, advance, skip])
        moves[time] = choices.argmax(0)
        score = choices.max(0) + step[time, states]
    state = int(count - 1 if score[-1] > score[-2] else count - 2)
    if score[state] == NEVER:
        raise ValueError(f"{count // 2} symbols do not fit into {len(step)} steps")
    path = np.zeros(len(step), np.int64)
    for time in range(len(step) - 1, -1, -1):
        path[time] = state
        state -= int(moves[time, state])
    return path
