"""Who was in the training part, told by a score: how many members are found where few others are accused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FALSE = 0.01  # the share of others that may be taken for members
LEAST = 100  # others, without which one false positive is more than that share


@dataclass(frozen=True)
class Membership:
    """How well a score tells members from others.

    Attributes:
        members: rows of the training part.
        others: rows that were not learnt from.
        area: the probability that a member scores above another row, a half of it where they are equal.
        area_low, area_high: its interval at 95 %.
        found: the share of members above the threshold that at most 1 % of the others exceed.
        found_low, found_high: its interval at 95 %.
        curve: (share of others, share of members) above each of some thresholds.
    """

    members: int
    others: int
    area: float
    area_low: float
    area_high: float
    found: float
    found_low: float
    found_high: float
    curve: tuple[tuple[float, float], ...]

    @property
    def tells(self) -> bool:
        """Whether members are found more often than others are accused, beyond the interval."""
        return self.found_low > FALSE


def membership(members: NDArray[np.float64], others: NDArray[np.float64]) -> Membership:
    """How well scores tell members from others.

    Equations:
        t: the smallest threshold that at most 1 % of the others exceed;  found = share of members above t
        area = P[member > other] + P[member = other] / 2

    The interval of ``found`` counts both what is unsure: the threshold is an order statistic, which lies between two
    others with 97.5 %, and the members above each of these have an exact interval of 97.5 % (Clopper and Pearson). With
    fewer than some 440 others it may lie above all of them, and the interval begins at 0.
    That of the area is Hanley and McNeil's.

    Args:
        members: [n] scores, high where the model seems to have learnt from a row.
        others: [k] scores.

    References:
        Yeom et al. 2018, arXiv 1709.01604 (losses as scores); Carlini et al. 2022, arXiv 2112.03570 (why few false
        positives count); Hanley and McNeil 1982, doi 10.1148/radiology.143.1.7063747.

    Example:
        >>> import numpy as np, tidegate as tg
        >>> tg.audit.membership(np.linspace(1, 2, 50), np.linspace(0, 1.5, 50)).area
        0.9116
    """
    above = np.sort(others)[::-1]
    count, allowed = len(above), int(FALSE * len(above))
    fewest, most = (int(place) for place in stats.binom.interval(0.975, count, FALSE))
    least = _hits(members, above, fewest - 1) if fewest else 0  # the threshold may lie above all others
    hits = [_hits(members, above, allowed), least, _hits(members, above, most)]
    area = _area(members, above)
    spread = 1.96 * _error(area, len(members), count)
    return Membership(
        len(members),
        count,
        area,
        max(0.0, area - spread),
        min(1.0, area + spread),
        hits[0] / len(members),
        _limit(hits[1], len(members), lower=True),
        _limit(hits[2], len(members), lower=False),
        _curve(members, above),
    )


def _hits(members: NDArray[np.float64], above: NDArray[np.float64], allowed: int) -> int:
    """The members above the other that has ``allowed`` others above it."""
    return int((members > above[allowed]).sum()) if allowed < len(above) else len(members)


def _limit(hits: int, count: int, *, lower: bool) -> float:
    """One end of the exact interval of a share at 97.5 %."""
    part = 0.0125
    if lower:
        return float(stats.beta.ppf(part, hits, count - hits + 1)) if hits else 0.0
    return float(stats.beta.ppf(1 - part, hits + 1, count - hits)) if hits < count else 1.0


def _area(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    ranks = stats.rankdata(np.concatenate([members, others]))[: len(members)]
    return float((ranks.sum() - len(members) * (len(members) + 1) / 2) / (len(members) * len(others)))


def _error(area: float, members: int, others: int) -> float:
    one, two = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (members - 1) * (one - area**2) + (others - 1) * (two - area**2)
    return float(np.sqrt(max(0.0, spread) / (members * others)))


def _curve(members: NDArray[np.float64], above: NDArray[np.float64]) -> tuple[tuple[float, float], ...]:
    """Shares of members above thresholds, at as many shares of others; closer together where these are small."""
    places = np.unique(np.geomspace(1, len(above), 60).astype(int) - 1)
    points = [(place / len(above), _hits(members, above, int(place)) / len(members)) for place in places]
    return (*points, (1.0, 1.0))
