"""What a private training spends: epsilon from the noise, and the noise for an epsilon."""

from __future__ import annotations

import logging
import math
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any, Final

from tidegate.errors import InputError, explain_missing

TIGHT: Final = 1e-4  # of epsilon, by which a grid of losses may raise it
LEAST: Final = 1e-5  # epsilon that a grid is made for
ORDERS: Final = (*range(2, 65), 128, 256, 512, 1024, 2048)  # of Rényi's divergences
DIGITS: Final = 4  # of a noise multiplier
LOUDEST: Final = 2.0**20  # noise multipliers above which nobody trains
QUIETEST: Final = 2.0**-7  # below, epsilon is in the thousands
SMALLEST: Final = 1e-10  # delta
FOURIER: Final = 2e-11  # of delta, by which transforms of distributions may err; 4e-12 was seen at a million steps


def accountant() -> str:
    """The name of the accountant, with its version."""
    return f"PLD of dp-accounting {version('dp-accounting')}"


def auto_delta(units: int) -> float:
    """The delta that is used unless one is given: 1 / units^1.1, which stays below one unit's share."""
    return math.pow(units, -1.1)


def epsilon_of(rate: float, sigma: float, steps: int, delta: float) -> float:
    """Epsilon of a Gaussian mechanism on Poisson samples, many times in a row, for adding or removing one unit.

    The distribution of the privacy loss of one step is composed with itself numerically (Koskela et al. 2020, arXiv
    1906.03049; Doroshenko et al. 2022, arXiv 2207.04380), by dp-accounting. All of its roundings raise epsilon.

    Args:
        rate: the probability q that a unit takes part in a step, 0 < q <= 1.
        sigma: the noise multiplier: the noise's deviation over the clip norm, from 2^-7 to 2^20.
        steps: how many steps there are, those with an empty batch included.
        delta: 1e-10 <= delta < 1.

    Returns:
        An upper bound of epsilon, tight to about 0.01 %.

    Raises:
        InputError: an argument is out of range.
        MissingError: dp-accounting is not installed.

    Example:
        >>> import tidegate as tg
        >>> round(tg.private.epsilon_of(rate=0.01, sigma=1.0, steps=1000, delta=1e-5), 2)
        1.83
    """
    _check_range("sigma", sigma, QUIETEST, LOUDEST)
    _check(rate, steps, delta)
    return _epsilon(float(rate), float(sigma), int(steps), float(delta))


def sigma_for(epsilon: float, rate: float, steps: int, delta: float) -> float:
    """The smallest noise multiplier with which ``epsilon_of`` is at most ``epsilon``, rounded up to four digits.

    Args:
        epsilon: what may be spent, above 0.
        rate: the probability q that a unit takes part in a step.
        steps: how many steps there will be.
        delta: 1e-10 <= delta < 1.

    Raises:
        InputError: an argument is out of range, or no noise is enough: the message says what can be had.
        MissingError: dp-accounting is not installed.

    Example:
        >>> import tidegate as tg
        >>> sigma = tg.private.sigma_for(epsilon=8, rate=0.1, steps=20, delta=1e-5)
        >>> tg.private.epsilon_of(rate=0.1, sigma=sigma, steps=20, delta=1e-5) <= 8
        True
    """
    if not 0 < epsilon < math.inf:
        raise InputError("EPSILON", f"epsilon is {epsilon:g}, expected above 0", fix="pass an epsilon such as 8")
    _check(rate, steps, delta)
    low, high = _bracket(epsilon, rate, steps, delta)
    while True:  # until both are the same in all digits but the last
        step = 10.0 ** (math.floor(math.log10(high)) + 1 - DIGITS)
        if high - low <= step:
            break
        middle = _between(epsilon, low, high, rate, steps, delta)
        if _epsilon(rate, middle, steps, delta) > epsilon:
            low = middle
        else:
            high = middle
    sigma = float(f"{math.ceil(low / step) * step:.{DIGITS}g}")
    while _epsilon(rate, sigma, steps, delta) > epsilon:
        sigma = float(f"{sigma + step:.{DIGITS}g}")
    return sigma


def _bracket(epsilon: float, rate: float, steps: int, delta: float) -> tuple[float, float]:
    """Two multipliers between which the one that is looked for lies."""
    if _epsilon(rate, LOUDEST, steps, delta) > epsilon:
        raise InputError(
            "EPSILON_SMALL",
            f"no noise multiplier up to {LOUDEST:,.0f} brings {steps:,} steps at a rate of {rate:g} to epsilon "
            f"{epsilon:g} at delta {delta:g}",
            fix="allow a larger epsilon, or train for fewer epochs",
        )
    high = _guess(epsilon, rate, steps, delta)
    while _epsilon(rate, high, steps, delta) > epsilon:
        high *= 2
    low, factor = high * 0.97, 0.97
    while low > QUIETEST and _epsilon(rate, low, steps, delta) <= epsilon:
        high, factor = low, factor**2
        low *= factor
    if low <= QUIETEST:
        raise InputError(
            "EPSILON_LARGE",
            f"epsilon {epsilon:g} asks for next to no noise: a multiplier of {high:g} spends "
            f"{_epsilon(rate, high, steps, delta):,.0f}",
            fix="pass a smaller epsilon, or train without privacy",
        )
    return low, high


def _guess(epsilon: float, rate: float, steps: int, delta: float) -> float:
    """The multiplier by moments, which is too large by some percent; 1 where moments cannot tell, so near to 0."""
    powers = [QUIETEST * 2 ** (k / 8) for k in range(217)]
    found = bisect_left(powers, -epsilon, key=lambda sigma: -_rough(rate, sigma, steps, delta))
    return powers[found] if found < len(powers) else 1.0


def _between(epsilon: float, low: float, high: float, rate: float, steps: int, delta: float) -> float:
    """Where the straight line through both ends in logarithms meets epsilon, kept off the ends."""
    top, bottom = (math.log(max(_epsilon(rate, sigma, steps, delta), 1e-12)) for sigma in (low, high))
    share = (top - math.log(epsilon)) / (top - bottom) if top > bottom else 0.5
    return low * math.pow(high / low, min(max(share, 0.02), 0.98))


@cache
def _epsilon(rate: float, sigma: float, steps: int, delta: float) -> float:
    with explain_missing():
        from dp_accounting.pld import privacy_loss_distribution
    rough = _rough(rate, sigma, steps, delta)
    grid = math.sqrt(TIGHT * max(LEAST, rough) / steps)  # raises epsilon by up to steps grid²
    one: Any = privacy_loss_distribution.from_gaussian_mechanism(
        sigma, sampling_prob=rate, value_discretization_interval=grid, use_connect_dots=True
    )
    fine = float(one.self_compose(steps).get_epsilon_for_delta(delta - FOURIER))
    return math.nextafter(min(fine, rough) if rough else fine, math.inf)  # both are bounds


@cache
def _rough(rate: float, sigma: float, steps: int, delta: float) -> float:
    """An upper bound by Rényi's divergences (Mironov 2017, arXiv 1702.07476), some percent too large; 0 for unknown.

    They are lost in rounding where noise is enormous, which dp-accounting tells in its log and answers by 0.
    """
    with explain_missing():
        from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, rdp
    with _silent():
        found: Any = rdp.RdpAccountant(ORDERS).compose(PoissonSampledDpEvent(rate, GaussianDpEvent(sigma)), steps)
        return float(found.get_epsilon(delta))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what is no news for a user out of the log."""
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _check(rate: float, steps: int, delta: float) -> None:
    _check_range("delta", delta, SMALLEST, math.nextafter(1, 0))
    _check_range("the sampling rate", rate, math.nextafter(0, 1), 1.0)
    _check_range("the number of steps", steps, 1, 1e7)


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        what = f"{name} is {value:g}, expected from {low:g} to {high:g}"
        raise InputError("ACCOUNT_RANGE", what, fix="see tidegate.private.epsilon_of for what each means")
