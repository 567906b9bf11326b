"""Paired ratios of times taken in the same rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

LEVEL = 0.05


@dataclass(frozen=True)
class Ratio:
    """Their time over ours, so that above 1 ours is faster.

    Attributes:
        median: of the rounds' ratios.
        low, high: the 95 % interval of that median.
        least, most: of all rounds.
    """

    median: float
    low: float
    high: float
    least: float
    most: float


def paired(theirs: Sequence[float], ours: Sequence[float]) -> Ratio:
    """The ratio round by round: what slows the machine for a while slows both and cancels."""
    ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    k = _left_out(len(ratios))
    return Ratio(median(ratios), ratios[k], ratios[-1 - k], ratios[0], ratios[-1])


def _left_out(n: int) -> int:
    """How many values to leave out on each side for a 95 % interval of the median, whatever their distribution.

    With k left out, the interval misses the median if at most k of n values lie on one side of it: as
    likely as at most k heads in n throws of a coin, twice. Below six values it is less than 95 %.
    """
    missed = [2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n for k in range((n + 1) // 2)]
    return max(len([chance for chance in missed if chance <= LEVEL]) - 1, 0)


def geometric_mean(values: Sequence[float]) -> float:
    """The mean that suits ratios."""
    return math.exp(sum(map(math.log, values)) / len(values))


def inverse(ratio: Ratio) -> Ratio:
    """Our time over theirs."""
    return Ratio(1 / ratio.median, 1 / ratio.high, 1 / ratio.low, 1 / ratio.most, 1 / ratio.least)
