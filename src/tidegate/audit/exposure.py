"""How far up a planted canary stands among all that might have been planted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MOST = 1000.0  # bits; beyond, a tail says no more than that it is far
LEAST = 10  # draws below a canary, from which on their share is precise enough: a third of it, half a bit


@dataclass(frozen=True)
class Exposure:
    """The exposure of canaries.

    Attributes:
        bits: [k] of each canary.
        extrapolated: [k] whether too few draws lie below it, so that the tail of a fitted distribution is used.
        draws: of the randomness space.
    """

    bits: NDArray[np.float64]
    extrapolated: NDArray[np.bool_]
    draws: int


def exposure(losses: NDArray[np.float64], drawn: NDArray[np.float64], space: float = math.inf) -> Exposure:
    """The exposure of canaries, from the losses of others that were drawn like them and never planted.

    Equations:
        exposure(c) = log2 |R| - log2 rank(c) = -log2 P[loss(t) <= loss(c)], t drawn from the space R of canaries

    Spaces are too large to be counted through. The probability is the share of draws, (below + 1) / (draws + 1). Where
    fewer than 10 draws lie below, it is the tail of a skew normal distribution with mean, variance and skewness of the
    draws, but never more than that share, nor less than 1 / |R|.

    Args:
        losses: [k] of the canaries.
        drawn: [n] of the draws.
        space: log2 |R|.

    References:
        Carlini et al. 2019, arXiv 1802.08232, sections 4.2 (exposure) and 4.3 (its approximation by draws, and by
        a skew normal distribution).

    Example:
        >>> import numpy as np, tidegate as tg
        >>> tg.audit.exposure(np.array([0.5]), np.linspace(0, 1, 99)).bits  # in the middle: 1 bit is chance
        array([0.97143085])
    """
    ordered = np.sort(drawn)
    below = np.searchsorted(ordered, losses, side="right")
    shares = (below + 1) / (len(ordered) + 1)
    tail = np.asarray(_skew_normal(ordered).logcdf(losses), dtype=np.float64) / math.log(2)
    beyond = below < LEAST
    sampled = -np.log2(shares)
    bits = np.where(beyond, np.maximum(sampled, -tail), sampled)
    return Exposure(np.minimum(bits, min(space, MOST)), beyond, len(ordered))


def _skew_normal(values: NDArray[np.float64]) -> Any:
    """The skew normal distribution with these moments; its skewness is below 0.9953."""
    mean, sd = float(values.mean()), float(values.std()) or 1e-300
    skew = float(np.clip(stats.skew(values) if sd > 1e-300 else 0.0, -0.99, 0.99))
    root = abs(skew) ** (2 / 3)
    size = math.sqrt(math.pi / 2 * root / (root + ((4 - math.pi) / 2) ** (2 / 3)))
    tilt = math.copysign(size, skew)
    scale = sd / math.sqrt(1 - 2 * tilt**2 / math.pi)
    return stats.skewnorm(tilt / math.sqrt(1 - tilt**2), mean - scale * tilt * math.sqrt(2 / math.pi), scale)
