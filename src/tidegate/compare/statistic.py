"""The statistics of a comparison. Scores are better when lower; a difference a - b < 0 favours a."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import scipy  # loads scipy.stats when it is first used: workers of a comparison start without that second

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
    half = float(scipy.stats.t.ppf(1 - LEVEL / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def pairs(scores: Mapping[str, Scores]) -> tuple[PairRecord, ...]:
    """Compare every pair of cells on their common seeds, with Holm's correction over all pairs.

    Args:
        scores: of each cell, by seed.

    Returns:
        A record for each pair that has at least two common seeds.
    """
    common = {(a, b): sorted(scores[a].keys() & scores[b].keys()) for a, b in itertools.combinations(scores, 2)}
    tested = {names: seeds for names, seeds in common.items() if len(seeds) >= 2}
    records = []
    for (a, b), seeds in tested.items():
        both = np.array([[scores[a][seed], scores[b][seed]] for seed in seeds])
        rounding = float(ROUNDING * np.abs(both).max())
        records.append(_pair(a, b, both[:, 0] - both[:, 1], rounding, LEVEL / len(tested)))
    return _holm(records)


def _pair(a: str, b: str, differences: np.ndarray, rounding: float, strictest: float) -> PairRecord:
    n = len(differences)
    estimate = interval(differences.tolist())
    deviation = float(np.std(differences, ddof=1))
    if deviation <= rounding:  # the same difference at every seed: either certain, or zero
        same = abs(estimate.mean) <= rounding
        p = 1.0 if same else 0.0
        probability = 0.5 if same else float(estimate.mean < 0)
    else:
        p = float(2 * scipy.stats.t.sf(abs(estimate.mean) / (deviation / math.sqrt(n)), n - 1))
        spread = deviation * math.sqrt(1 + 1 / n)  # of one further difference around the mean of these
        probability = float(scipy.stats.t.cdf(-estimate.mean / spread, n - 1))
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
        p_holm=p,
        detectable=deviation * detectable_effect(n, strictest),
        reliable=False,  # decided after Holm's correction
    )


def _holm(records: list[PairRecord]) -> tuple[PairRecord, ...]:
    """Correct p values and decide: a pair is reliable if its corrected p is below the level, on enough seeds.

    Equations:
        p_holm(k) = max(p_holm(k-1), min(1, (m - k + 1) p(k)))  for the k-th smallest of m values

    References:
        Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    corrected: dict[tuple[str, str], float] = {}
    running = 0.0
    for k, pair in enumerate(sorted(records, key=lambda pair: pair.p)):
        running = max(running, min(1.0, pair.p * (len(records) - k)))
        corrected[pair.a, pair.b] = running
    return tuple(_decided(pair, corrected[pair.a, pair.b]) for pair in records)


def _decided(pair: PairRecord, p_holm: float) -> PairRecord:
    return replace(pair, p_holm=p_holm, reliable=p_holm < LEVEL and pair.seeds >= ENOUGH_SEEDS)


@lru_cache(maxsize=64)
def detectable_effect(n: int, level: float, power: float = POWER) -> float:
    """The smallest mean difference, in standard deviations, that a paired t test detects.

    Args:
        n: the number of pairs.
        level: the two-sided significance level.
        power: the probability of detecting it.
    """
    critical = float(scipy.stats.t.ppf(1 - level / 2, n - 1))
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
