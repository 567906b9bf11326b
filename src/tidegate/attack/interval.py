"""How sure the mean of a measure over rows is."""

from __future__ import annotations

import math

import torch

Z = 1.959963984540054  # of 95 %
DRAWN = 2_000
SEED = 0


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Equations:
        (p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    References:
        Wilson 1927, doi 10.1080/01621459.1927.10502953.

    Examples:
        >>> tuple(round(end, 4) for end in wilson(81, 263))
        (0.2553, 0.3662)
    """
    share, spare = hits / count, Z * Z / count
    half = Z * math.sqrt(share * (1 - share) / count + spare / (4 * count))
    low, high = (share + spare / 2 - half) / (1 + spare), (share + spare / 2 + half) / (1 + spare)
    return (0.0 if hits == 0 else low), (1.0 if hits == count else high)


def bootstrapped(values: torch.Tensor) -> tuple[float, float]:
    """The 95 % interval of a mean, by percentiles of 2,000 draws of the rows; the same draws for the same rows."""
    generator = torch.Generator().manual_seed(SEED)
    rows = torch.randint(len(values), (DRAWN, len(values)), generator=generator)
    means = values.double()[rows].mean(1)
    low, high = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
