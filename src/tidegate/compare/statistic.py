"""The statistics of a comparison. Scores are better when lower; a difference a - b < 0 favours a."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from tidegate.records import PairRecord

LEVEL = 0.05
POWER = 0.80
ENOUGH_SEEDS = 5  # fewer are no evidence, whatever p says
ROUNDING = 1e-12  # differences this small beside the scores are rounding

Scores = Mapping[int, float]  # by seed


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided 95 % t interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Mean and t interval; the interval of fewer than two values is not a number."""
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def pairs(scores: Mapping[str, Scores]) -> tuple[PairRecord, ...]:
    """Every pair of cells on their common seeds, with Holm's correction over all pairs.

    Pairs without two common seeds are left out.
    """
    common = {(a, b): sorted(scores[a].keys() & scores[b].keys()) for a, b in itertools.combinations(scores, 2)}
    tested = {names: seeds for names, seeds in common.items() if len(seeds) >= 2}
    found = []
    for (a, b), seeds in tested.items():
        both = np.array([[scores[a][seed], scores[b][seed]] for seed in seeds])
        rounding = float(ROUNDING * np.abs(both).max())
        found.append(_pair(a, b, both[:, 0] - both[:, 1], rounding, LEVEL / len(tested)))
    return _holm(found)


def _pair(a: str, b: str, differences: np.ndarray, rounding: float, strictest: float) -> PairRecord:
    n = len(differences)
    estimate = interval(differences.tolist())
    deviation = float(np.std(differences, ddof=1))
    if deviation <= rounding:  # the same difference at every seed: certain, or none at all
        same = abs(estimate.mean) <= rounding
        p = 1.0 if same else 0.0
        probability = 0.5 if same else float(estimate.mean < 0)
    else:
        p = float(2 * stats.t.sf(abs(estimate.mean) / (deviation / math.sqrt(n)), n - 1))
        spread = deviation * math.sqrt(1 + 1 / n)  # of one further difference around the mean of these
        probability = float(stats.t.cdf(-estimate.mean / spread, n - 1))
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
        reliable=False,  # not before Holm's correction
    )


def _holm(found: list[PairRecord]) -> tuple[PairRecord, ...]:
    """Holm 1979: the k-th smallest p is multiplied by how many are not smaller, and never sinks.

    The decision follows: reliable is what is below the level then, on enough seeds.
    """
    corrected: dict[tuple[str, str], float] = {}
    running = 0.0
    for k, pair in enumerate(sorted(found, key=lambda pair: pair.p)):
        running = max(running, min(1.0, pair.p * (len(found) - k)))
        corrected[pair.a, pair.b] = running
    return tuple(_decided(pair, corrected[pair.a, pair.b]) for pair in found)


def _decided(pair: PairRecord, p_holm: float) -> PairRecord:
    return replace(pair, p_holm=p_holm, reliable=p_holm < LEVEL and pair.seeds >= ENOUGH_SEEDS)


@lru_cache(maxsize=64)
def detectable_effect(n: int, level: float, power: float = POWER) -> float:
    """The smallest mean difference, in standard deviations, that a paired t test of n seeds finds with this power."""
    critical = float(stats.t.ppf(1 - level / 2, n - 1))
    # The estimated deviation over the true one, at the middle of 4,000 equally likely intervals: scipy's
    # noncentral t gives no number for two or three seeds.
    ratio = np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, n - 1) / (n - 1))

    def missing(effect: float) -> float:
        shift = effect * math.sqrt(n)
        found = stats.norm.sf(critical * ratio - shift) + stats.norm.cdf(-critical * ratio - shift)
        return float(np.mean(found)) - power

    upper = 1.0
    while missing(upper) < 0:
        upper *= 2
    return float(optimize.brentq(missing, 0.0, upper))
