"""The votes of series with a gradient: exact on the way forward, and on the way back as if thresholds were ramps.

A vote counts how often a convolution exceeds a threshold. That is a staircase, whose gradient is 0. On the way back
each stair becomes a ramp of some width, as in Athalye et al. 2018 (arXiv 1802.00420), so that an attack sees stairs.
"""

from __future__ import annotations

from typing import Any

import torch

from tidegate.tasks.classification.ballot import SeriesVotes, resampled
from tidegate.tasks.classification.convolution import CELLS, KERNELS, TAPS, Convolutions, rounded, tapped

WIDTH = 0.2  # of a ramp to either side, in standard deviations of a kernel's thresholds


class SlopedVotes(torch.nn.Module):
    """Votes that answer as ``SeriesVotes`` do, and have a gradient.

    Args:
        votes: the votes.
    """

    def __init__(self, votes: SeriesVotes) -> None:
        super().__init__()
        self.votes = votes
        self.train(votes.training)

    def forward(self, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[B, classes] from values [T, B, C] and lengths [B]."""
        votes = self.votes
        features = features_of(votes.convolutions, values, lengths).to(votes.bias.dtype)
        even = resampled(values, lengths).flatten(1).to(votes.bias.dtype)
        answers: torch.Tensor = features @ votes.by_features.T + even @ votes.by_values.T + votes.bias
        return answers


def features_of(convolutions: Convolutions, values: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[B, features] as ``Convolutions`` makes them, with a gradient."""
    series: torch.Tensor = _Same.apply(values, rounded(values.detach(), lengths))  # type: ignore[no-untyped-call]
    size = (len(KERNELS) + TAPS * series.shape[1]) * series.shape[2]
    rows = max(1, CELLS // size)
    parts = zip(series.split(rows), lengths.split(rows), strict=True)
    return torch.cat([_part(convolutions, part, ends) for part, ends in parts])


def _part(convolutions: Convolutions, series: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    found, place, plan = [], 0, convolutions.plan
    for k, (dilation, count) in enumerate(zip(plan.dilations, plan.thresholds, strict=True)):
        inside = convolutions.inside(k, series.shape[2], lengths)
        answers = convolutions.weights(k) @ tapped(series, dilation)
        limits = convolutions.thresholds[place : place + count * len(KERNELS)].double().view(len(KERNELS), count)
        above: torch.Tensor = _Exceeding.apply(answers, inside, limits)  # type: ignore[no-untyped-call]
        found.append(above.flatten(1))
        place += count * len(KERNELS)
    return torch.cat(found, 1)


class _Same(torch.autograd.Function):
    """Rounded values [B, C, T], whose gradient is that of the values [T, B, C] themselves."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        ctx.kind = values.dtype
        return there

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient.permute(2, 0, 1).to(ctx.kind), None


class _Exceeding(torch.autograd.Function):
    """The share of steps [B, 84, count] at which answers [B, 84, T] exceed each limit [84, count]."""

    @staticmethod
    def forward(ctx: Any, answers: torch.Tensor, inside: torch.Tensor, limits: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(answers, inside, limits)
        seen = answers.masked_fill(~inside, -torch.inf)
        hit = torch.empty_like(seen)
        above = [torch.gt(seen, limit[:, None], out=hit).sum(-1) for limit in limits.T]
        return (torch.stack(above, -1) / inside.sum(-1, keepdim=True).clamp(min=1)).float()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        answers, inside, limits = ctx.saved_tensors
        spread = answers.std(dim=(0, 2)) if limits.shape[1] < 2 else limits.std(1)
        width = (WIDTH * spread).clamp(min=1e-3)[:, None]
        weight = (gradient / inside.sum(-1, keepdim=True).clamp(min=1)).unsqueeze(2) / (2 * width.float())[..., None]
        answers, limits, width = answers.float(), limits.float(), width.float()
        slope, near = torch.zeros_like(answers), torch.empty_like(answers)
        for place, limit in enumerate(limits.T):  # in place: this loop is most of an attack's time
            torch.sub(answers, limit[:, None], out=near).abs_()
            slope.addcmul_(torch.lt(near, width, out=near), weight[..., place])
        return slope.masked_fill_(~inside, 0.0).double(), None, None
