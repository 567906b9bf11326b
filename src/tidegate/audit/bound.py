"""A lower bound on epsilon from one training: guesses which canaries were planted, some of them withheld."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)  # of the canaries that are guessed, fixed before anything is seen
LARGEST = 30.0  # no number of canaries that fits into a memory proves a larger epsilon
HALVINGS = 40  # of an interval that ends below 1e-10


@dataclass(frozen=True)
class Guesses:
    """How many canaries were guessed, and how many of the guesses are right.

    Attributes:
        canaries: all of them.
        made: guesses; the auditor abstains from the rest.
        right: guesses that name the coin.
        epsilon: the lower bound that these guesses alone would give, at the level of all choices together.
    """

    canaries: int
    made: int
    right: int
    epsilon: float


def p_value(canaries: int, made: int, right: int, epsilon: float, delta: float) -> float:
    """How probable at least so many right guesses are, at most, if training is (epsilon, delta)-private.

    Equations:
        W ~ Binomial(r, 1 / (1 + exp(-ε)));  f(v) = P[W >= v]
        P[v of r guesses or more are right] <= f(v) + 2 m δ max_{i=1..m} (f(v - i) - f(v)) / i

    Args:
        canaries: m, each planted with probability 1/2.
        made: r, the guesses.
        right: v, those that are right.
        epsilon: of the claim.
        delta: of the claim.

    References:
        Steinke, Nasr and Jagielski 2023, arXiv 2305.08846, Theorem 5.2.

    Example:
        >>> import tidegate as tg
        >>> round(tg.audit.p_value(canaries=100, made=20, right=20, epsilon=1.0, delta=0.0), 4)
        0.0019
    """
    if not right:
        return 1.0
    honest = 1 / (1 + math.exp(-epsilon))
    beta = float(special.bdtrc(right - 1, made, honest))
    if not delta:
        return beta
    steps = np.arange(1, right + 1)  # beyond v, the sum no longer grows and i does
    alpha = float((np.cumsum(_binomial(right - steps, made, honest)) / steps).max())
    return min(1.0, beta + 2 * canaries * delta * alpha)


def _binomial(right: NDArray[np.int64], made: int, chance: float) -> NDArray[np.float64]:
    """The probabilities of so many of ``made``."""
    ways = special.gammaln(made + 1) - special.gammaln(right + 1) - special.gammaln(made - right + 1)
    found: NDArray[np.float64] = np.exp(ways + right * math.log(chance) + (made - right) * math.log1p(-chance))
    return found


def lower_bound(canaries: int, made: int, right: int, delta: float, level: float) -> float:
    """The largest epsilon that the guesses refute; 0 if they refute none.

    Args:
        canaries: as for ``p_value``.
        made: as for ``p_value``.
        right: as for ``p_value``.
        delta: of the claim.
        level: the probability of refuting what is true, such as 0.05.

    Example:
        >>> import tidegate as tg
        >>> round(tg.audit.lower_bound(canaries=100, made=20, right=20, delta=0.0, level=0.05), 2)
        1.82
    """
    if p_value(canaries, made, right, 0.0, delta) > level:
        return 0.0
    low, high = 0.0, LARGEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if p_value(canaries, made, right, middle, delta) <= level:
            low = middle
        else:
            high = middle
    return low


def guessed(
    scores: NDArray[np.float64],
    planted: NDArray[np.bool_],
    delta: float,
    level: float = 0.05,
    shares: Sequence[float] = SHARES,
) -> list[Guesses]:
    """Guess the canaries of the highest scores as planted and those of the lowest as not, and abstain from the rest.

    How many are guessed is tried for several shares, of which each is held to its part of the level, so that the
    largest bound holds at the whole level (Bonferroni).

    Args:
        scores: [m] of each canary; high where the model seems to have learnt from it.
        planted: [m] the coins.
        delta: of the claim.
        level: the probability that the largest of the bounds is above a true epsilon.
        shares: of the canaries that are guessed.

    Example:
        >>> import numpy as np, tidegate as tg
        >>> planted = np.arange(200) % 2 == 0
        >>> [best] = tg.audit.guessed(planted + np.linspace(0, 0.1, 200), planted, delta=1e-6, shares=(0.5,))
        >>> best
        Guesses(canaries=200, made=100, right=100, epsilon=3.492415729788263)
    """
    count, order = len(scores), np.argsort(-scores, kind="stable")
    found = []
    for share in shares:
        each = int(count * share) // 2
        if not each:
            continue
        right = int(planted[order[:each]].sum()) + int((~planted[order[count - each :]]).sum())
        epsilon = lower_bound(count, 2 * each, right, delta, level / len(shares))
        found.append(Guesses(count, 2 * each, right, epsilon))
    return found
