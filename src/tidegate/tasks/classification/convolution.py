"""Random convolutions of series: MiniRocket's 84 kernels, dilated, and how often each exceeds a threshold."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

TAPS = 9  # weights of a kernel
KERNELS = torch.tensor(  # [84, 9]: three of the weights are 2, the others -1, so that each kernel sums to zero
    [[2.0 if tap in places else -1.0 for tap in range(TAPS)] for places in itertools.combinations(range(TAPS), 3)],
    dtype=torch.float64,
)
DILATIONS = 32  # most dilations
GOLDEN = (math.sqrt(5) + 1) / 2
GRID = 2.0**20  # values are rounded to multiples of 1 / GRID, so that sums are exact in whatever order
LARGEST = 2.0**16  # a value, in standard deviations
CELLS = 1 << 18  # outputs held at once; beyond the processor's cache a comparison takes six times as long


@dataclass(frozen=True)
class Convolution:
    """Which convolutions there are.

    Attributes:
        channels: of a series.
        dilations: distances between the taps of a kernel.
        thresholds: of each kernel at each dilation.
    """

    channels: int
    dilations: tuple[int, ...]
    thresholds: tuple[int, ...]

    def __post_init__(self) -> None:
        counts = (self.channels, *self.dilations, *self.thresholds)
        if len(self.dilations) != len(self.thresholds) or not self.dilations or min(counts) < 1:
            raise ValueError("the convolutions have no dilations, or other thresholds than dilations")

    @classmethod
    def of(cls, channels: int, steps: int, features: int) -> Self:
        """Convolutions of series.

        Equations:
            dilations = floor(2^e), e in 32 even steps from 0 to log2(max(1, (steps - 1) / 8)); dilations that come
            several times have as many more thresholds

        Args:
            channels: of a series.
            steps: of the longest series.
            features: about how many; 84 at least.
        """
        each = max(1, features // len(KERNELS))
        reach = math.log2(max(1.0, (steps - 1) / (TAPS - 1)))
        drawn = np.floor(2.0 ** np.linspace(0, reach, min(each, DILATIONS))).astype(int)
        dilations, times = np.unique(drawn, return_counts=True)
        thresholds = np.diff(np.round(np.cumsum([0, *times]) * each / len(drawn))).astype(int)
        return cls(channels, tuple(dilations.tolist()), tuple(thresholds.tolist()))

    @property
    def features(self) -> int:
        """The number of features."""
        return len(KERNELS) * sum(self.thresholds)


class Convolutions(torch.nn.Module):
    """Features of series: the share of steps at which a dilated kernel answers more than a threshold.

    Equations:
        c[t] = sum_{j=0..8} sum_{channels m of the kernel} w[j] x[t + (j - 4) d, m];  feature = mean_t [c[t] > b]

    x is zero outside of the series; every other kernel looks only at steps t that have all nine taps inside of it.
    Thresholds b are quantiles of c on training series. Values are rounded to multiples of 2^-20, so that c is exact and
    features do not depend on the order of sums, on other rows of a batch or on padding.

    Args:
        plan: which convolutions there are.

    Shapes:
        values [T, B, C] and lengths [B] to [B, features].

    References:
        MiniRocket: Dempster et al. 2021, arXiv 2012.08791; channels as in its form for several of them.
    """

    thresholds: torch.Tensor
    channels: torch.Tensor

    def __init__(self, plan: Convolution) -> None:
        super().__init__()
        self.plan = plan
        self.register_buffer("thresholds", torch.zeros(plan.features))
        members = torch.ones(len(plan.dilations), len(KERNELS), plan.channels, dtype=torch.bool)
        self.register_buffer("channels", members)

    def fit(self, values: torch.Tensor, lengths: torch.Tensor, seed: int) -> None:
        """Draw the channels of each kernel, and the thresholds from training series.

        Args:
            values: [T, N, C].
            lengths: [N].
            seed: of the draw.
        """
        rng = np.random.default_rng(seed)
        for members in self.channels.view(-1, self.plan.channels):
            most = math.log2(min(self.plan.channels, TAPS) + 1)
            chosen = rng.permutation(self.plan.channels)[: int(2 ** rng.uniform(0, most))]
            members.zero_()[chosen] = True
        series, found, place = rounded(values, lengths), [], 0
        for k, (dilation, count) in enumerate(zip(self.plan.dilations, self.plan.thresholds, strict=True)):
            rows = torch.from_numpy(rng.integers(values.shape[1], size=len(KERNELS)))
            weights = self.weights(k)
            reads = tapped(series[rows], dilation)
            answers = torch.einsum("rct,rc->rt", reads, weights)
            inside = self.inside(k, answers.shape[1], lengths[rows])[range(len(rows)), range(len(rows))]
            for row, there in enumerate(inside):
                seen = answers[row][there] if there.any() else answers[row][: lengths[rows[row]]]
                levels = (torch.arange(place + 1, place + count + 1, dtype=torch.float64) * GOLDEN) % 1
                found.append(torch.quantile(seen, levels))
                place += count
        self.thresholds.copy_(torch.cat(found))

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        series = rounded(values, lengths)
        rows = max(1, CELLS // ((len(KERNELS) + TAPS * series.shape[1]) * series.shape[2]))
        parts = zip(series.split(rows), lengths.split(rows), strict=True)
        return torch.cat([self._features(part, ends) for part, ends in parts])

    def _features(self, series: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        found, place = [], 0
        for k, (dilation, count) in enumerate(zip(self.plan.dilations, self.plan.thresholds, strict=True)):
            inside = self.inside(k, series.shape[2], lengths)
            answers = (self.weights(k) @ tapped(series, dilation)).masked_fill_(~inside, -torch.inf)
            limits = self.thresholds[place : place + count * len(KERNELS)].double().view(len(KERNELS), count)
            hit = torch.empty_like(answers)
            above = [torch.gt(answers, limit[:, None], out=hit).sum(-1) for limit in limits.T]
            found.append((torch.stack(above, -1) / inside.sum(-1, keepdim=True).clamp(min=1)).float().flatten(1))
            place += count * len(KERNELS)
        return torch.cat(found, 1)

    def weights(self, k: int) -> torch.Tensor:
        """[84, C * 9] float64 of the k-th dilation."""
        return (self.channels[k][:, :, None] * KERNELS[:, None]).flatten(1)

    def inside(self, k: int, steps: int, lengths: torch.Tensor) -> torch.Tensor:
        """[B, 84, T] bool: the steps that count for each kernel."""
        margin = torch.zeros(len(KERNELS), dtype=torch.int64)
        margin[(k + 1) % 2 :: 2] = (TAPS // 2) * self.plan.dilations[k]
        time = torch.arange(steps)
        return (time >= margin[:, None]) & (time < lengths[:, None, None] - margin[:, None])


def rounded(values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[T, B, C] to [B, C, T] float64, zero behind the end of each series."""
    series = values.double().clamp(-LARGEST, LARGEST).mul(GRID).round().div(GRID).permute(1, 2, 0)
    return series * (torch.arange(len(values)) < lengths[:, None])[:, None]


def tapped(series: torch.Tensor, dilation: int) -> torch.Tensor:
    """[B, C, T] to [B, C * 9, T]: what each tap reads at each step."""
    steps = series.shape[2]
    dilation = min(dilation, steps)  # beyond, all taps but one are outside
    reach = (TAPS // 2) * dilation
    wide = torch.nn.functional.pad(series, (reach, reach))
    return torch.stack([wide[..., tap * dilation :][..., :steps] for tap in range(TAPS)], 2).flatten(1, 2)
