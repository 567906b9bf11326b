"""The statistics of a comparison. Scores are better when lower; a difference a - b < 0 favours a."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy  # loads its parts when they are first used: workers of a comparison start without that second

from tidegate.records import PairRecord

LEVEL = 0.05
POWER = 0.80
ENOUGH_SEEDS = 5  # with fewer, no difference counts as reliable, whatever p
ROUNDING = 1e-12  # smaller differences, relative to the scores, are rounding errors

Scores = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided 95 % t interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Mean and t interval; with fewer than two values, the bounds of the interval are NaN."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    half = _critical(n - 1, LEVEL) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def pairs(scores: Mapping[str, Scores]) -> tuple[PairRecord, ...]:
    """Compare every pair of cells on their common seeds.

    Each pair is judged by its own scores alone, whatever other cells there are.

    Args:
        scores: of each cell, by seed.

    Returns:
        A record for each pair that has at least two common seeds.
    """
    return tuple(
        _pair(a, b, np.array([[scores[a][seed], scores[b][seed]] for seed in sorted(common)]))
        for a, b in itertools.combinations(scores, 2)
        if len(common := scores[a].keys() & scores[b].keys()) >= 2
    )


def _pair(a: str, b: str, both: np.ndarray) -> PairRecord:
    """The paired t test of two cells; ``both`` has a row per seed."""
    differences, n = both[:, 0] - both[:, 1], len(both)
    estimate, rounding = interval(differences.tolist()), float(ROUNDING * np.abs(both).max())
    deviation = float(np.std(differences, ddof=1))
    if deviation <= rounding:  # the same difference at every seed: either certain, or zero
        same = abs(estimate.mean) <= rounding
        p = 1.0 if same else 0.0
        probability = 0.5 if same else float(estimate.mean < 0)
    else:
        p = float(2 * scipy.special.stdtr(n - 1, -abs(estimate.mean) / (deviation / math.sqrt(n))))
        spread = deviation * math.sqrt(1 + 1 / n)  # of one further difference around the mean of these
        probability = float(scipy.special.stdtr(n - 1, -estimate.mean / spread))
    return PairRecord(
        a=a,
        b=b,
        seeds=n,
        wins=int(np.sum(differences < 0)),
        difference=estimate.mean,
        low=estimate.low,
        high=estimate.high,
        probability=probability,
        p=p,
        detectable=deviation * detectable_effect(n, LEVEL),
        reliable=p < LEVEL and n >= ENOUGH_SEEDS,
    )


def _critical(freedom: int, level: float) -> float:
    """The two-sided critical value of Student's t."""
    return float(scipy.special.stdtrit(freedom, 1 - level / 2))


@lru_cache(maxsize=64)
def detectable_effect(n: int, level: float, power: float = POWER) -> float:
    """The smallest mean difference, in standard deviations, that a paired t test detects.

    Args:
        n: the number of pairs.
        level: the two-sided significance level.
        power: the probability of detecting it.
    """
    critical = _critical(n - 1, level)
    # The ratio of estimated to true deviation, at the middle of 4,000 equally likely intervals, since scipy's
    # noncentral t returns NaN for two or three seeds.
    ratio = np.sqrt(scipy.stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, n - 1) / (n - 1))

    def missing(effect: float) -> float:
        shift = effect * math.sqrt(n)
        detected = scipy.stats.norm.sf(critical * ratio - shift) + scipy.stats.norm.cdf(-critical * ratio - shift)
        return float(np.mean(detected)) - power

    upper = 1.0
    while missing(upper) < 0:
        upper *= 2
    return float(scipy.optimize.brentq(missing, 0.0, upper))
