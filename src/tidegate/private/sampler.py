"""Poisson sampling: each unit takes part in each step by a coin of its own; and the test that a record looks like it.

Accountants assume this sampler. Batches of a shuffled order have another, larger loss of privacy (Chua et al. 2024,
arXiv 2403.17673), so a training that shuffles must not state an epsilon of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tidegate.errors import InputError
from tidegate.private.stream import SecretStream

STRICT: Final = 1e-5  # honest records fail one of five tests once in 20,000
NEAR: Final = 20  # steps within which repeats are counted


class PoissonSampler:
    """Draws the units of a step.

    Args:
        units: how many there are, N.
        rate: the probability q that a unit takes part in a step, 0 < q <= 1.
        stream: where the coins come from.

    Raises:
        InputError: ``units`` or ``rate`` is out of range.

    Example:
        >>> import tidegate as tg
        >>> stream = tg.private.SecretStream.fresh(insecure_seed=0)
        >>> sampler = tg.private.PoissonSampler(units=10, rate=0.3, stream=stream)
        >>> [len(sampler.draw()) for step in range(5)]  # sizes vary
        [5, 4, 3, 3, 3]
    """

    def __init__(self, units: int, rate: float, stream: SecretStream) -> None:
        if units < 1 or not 0 < rate <= 1:
            what = f"{units} units at a rate of {rate:g} cannot be drawn from"
            raise InputError("SAMPLER_RANGE", what, fix="pass at least one unit and a rate in (0, 1]")
        self.units, self.rate, self.stream = units, rate, stream

    def draw(self) -> Tensor:
        """The places of the units of one step, int64 and in order; there may be none.

        Equations:
            unit i takes part if word[i] < floor(2^64 q), so with a probability of q or less by at most 2^-64
        """
        last = np.uint64(int(self.rate * 2.0**64) - 1) if self.rate >= 2.0**-64 else None
        words = self.stream.words(self.units)
        taken = np.empty(0, np.int64) if last is None else np.flatnonzero(words <= last)
        return torch.from_numpy(taken.astype(np.int64, copy=False))


@dataclass(frozen=True)
class SamplerTest:
    """One test of a record of participation.

    Attributes:
        p: the probability of a record at least as odd, were the sampler as stated.
        text: what was seen beside what was expected.
    """

    name: str
    p: float
    passed: bool
    text: str


@dataclass(frozen=True)
class Participation:
    """What a record of participation says of its sampler."""

    steps: int
    units: int
    rate: float
    tests: tuple[SamplerTest, ...]

    @property
    def passed(self) -> bool:
        """Whether the record looks like independent coins."""
        return all(test.passed for test in self.tests)


def check_participation(draws: Sequence[Tensor], units: int, rate: float) -> Participation:
    """Hold a record of who took part in which step against independent coins.

    Equations:
        with x[t, i] = 1 if unit i takes part in step t, z[t, i] = x[t, i] - q, and v = q (1 - q):
        total:      sum of all z,                              mean 0, variance N S v
        batches:    sum over t of (sum over i of z)² / (N v),  S degrees of freedom: sizes are binomial
        units:      sum over i of (sum over t of z)² / (S v),  N degrees of freedom: counts of a unit are binomial
        repeats:    sum of z[t, i] z[t + k, i], k = 1, ..., 20:  a unit's coin does not remember
        neighbours: sum of z[t, i] z[t, i + 1]:                a coin does not follow that of the unit beside it

    Each is compared with a gamma distribution of its own mean, variance and skewness. Batches of a shuffled order
    fail: their sizes are equal, and within an epoch nobody comes again.

    Args:
        draws: for each step the places of its units, integers from 0, each at most once.
        units: how many units there are, N.
        rate: the probability q that a unit takes part in a step.

    Returns:
        The five tests.

    Raises:
        InputError: there are fewer than two steps, the rate is not inside (0, 1), or a place does not exist or comes
            twice in a step.

    Example:
        >>> import tidegate as tg
        >>> stream = tg.private.SecretStream.fresh(insecure_seed=0)
        >>> sampler = tg.private.PoissonSampler(units=100, rate=0.3, stream=stream)
        >>> tests = tg.private.check_participation([sampler.draw() for step in range(50)], units=100, rate=0.3)
        >>> type(tests).__name__
        'Participation'
    """
    steps = [np.unique(np.asarray(draw, dtype=np.int64)) for draw in draws]
    whole = all(len(step) == len(draw) for step, draw in zip(steps, draws, strict=True))
    inside = all(step[0] >= 0 and step[-1] < units for step in steps if len(step))
    if len(steps) < 2 or units < 2 or not 0 < rate < 1 or not whole or not inside:
        raise InputError(
            "PARTICIPATION",
            f"a record of {len(steps)} steps of {units} units at a rate of {rate:g} cannot be tested",
            fix="pass two steps or more of two units or more, each unit at most once in a step, and a rate below 1",
        )
    found = (_total, _batches, _units, _repeats, _neighbours)
    return Participation(len(steps), units, rate, tuple(test(steps, units, rate) for test in found))


Steps = list[NDArray[np.int64]]


def _total(steps: Steps, units: int, rate: float) -> SamplerTest:
    seen, trials = sum(map(len, steps)), len(steps) * units
    spread = math.sqrt(trials * rate * (1 - rate))
    return _test("total", (seen - trials * rate) / spread, (1 - 2 * rate) / spread, seen, trials * rate)


def _batches(steps: Steps, units: int, rate: float) -> SamplerTest:
    return _dispersion("batches", np.array([len(step) for step in steps]), units, rate)


def _units(steps: Steps, units: int, rate: float) -> SamplerTest:
    return _dispersion("units", np.bincount(np.concatenate(steps), minlength=units), len(steps), rate)


def _repeats(steps: Steps, units: int, rate: float) -> SamplerTest:
    lags = range(1, min(NEAR, len(steps) - 1) + 1)
    pairs = [(steps[t], steps[t + k]) for k in lags for t in range(len(steps) - k)]
    both = sum(len(np.intersect1d(a, b, assume_unique=True)) for a, b in pairs)
    return _products("repeats", both, sum(len(a) + len(b) for a, b in pairs), units * len(pairs), rate)


def _neighbours(steps: Steps, units: int, rate: float) -> SamplerTest:
    both = sum(int((np.diff(step) == 1).sum()) for step in steps)
    ends = sum(2 * len(step) - int(0 in step) - int(units - 1 in step) for step in steps)
    return _products("neighbours", both, ends, (units - 1) * len(steps), rate)


def _products(name: str, both: int, either: int, pairs: int, rate: float) -> SamplerTest:
    """Test sum z z' = both - q either + q² pairs, of which each product has the mean 0 and the variance v²."""
    v = rate * (1 - rate)
    z = (both - rate * either + rate**2 * pairs) / (v * math.sqrt(pairs))
    return _test(name, z, (1 - 2 * rate) ** 2 / (v * math.sqrt(pairs)), both, rate * either - rate**2 * pairs)


def _dispersion(name: str, counts: NDArray[np.int64], trials: int, rate: float) -> SamplerTest:
    """Test sum (count - trials q)² / (trials v): mean n, variance n (2 + kurtosis of the binomial)."""
    v, n = trials * rate * (1 - rate), len(counts)
    seen = float(((counts - trials * rate) ** 2).sum()) / v
    spread = math.sqrt(n * (2 + (1 - 6 * rate * (1 - rate)) / v))
    return _test(name, (seen - n) / spread, 2 * spread / n, v * seen / n, v, " as variance")


def _test(name: str, z: float, skewness: float, seen: float, expected: float, what: str = "") -> SamplerTest:
    p = min(1.0, 2 * min(_below(z, skewness), _below(-z, -skewness)))
    return SamplerTest(name, p, p >= STRICT, f"{seen:,.4g}{what}, expected {expected:,.4g}")


def _below(z: float, skewness: float) -> float:
    """The probability of a value below z, of mean 0, variance 1 and this skewness: a shifted gamma distribution."""
    if abs(skewness) < 1e-3:
        return 0.5 * math.erfc(-z / math.sqrt(2))
    shape = 4 / skewness**2
    at = torch.tensor(max(0.0, shape + math.copysign(math.sqrt(shape), skewness) * z), dtype=torch.float64)
    gamma = torch.special.gammainc if skewness > 0 else torch.special.gammaincc
    return float(gamma(torch.tensor(shape, dtype=torch.float64), at))
