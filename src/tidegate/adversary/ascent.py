"""Projected gradient ascent within a ball, with restarts; the worst change of each row is kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tidegate.adversary.ball import Ball
from tidegate.adversary.slope import Judged, Loss, Slope, by_gradient


@dataclass(frozen=True)
class Found:
    """The worst changes that were found.

    Attributes:
        change: [T, B, ...], 0 where none was worse than none.
        score: [B] of the changed inputs.
        silent: [B] the share of gradients that were 0 or not finite in every free place.
    """

    change: torch.Tensor
    score: torch.Tensor
    silent: torch.Tensor

    def worse(self, other: Found) -> Found:
        """Row by row, the change with the higher score; this one's where both are equal."""
        theirs = other.score > self.score
        rows = theirs.reshape(1, -1, *[1] * (self.change.dim() - 2))
        change = torch.where(rows, other.change, self.change)
        return Found(change, torch.where(theirs, other.score, self.score), self.silent)


def projected_gradient(
    loss: Loss | Judged,
    x: torch.Tensor,
    ball: Ball,
    *,
    steps: int = 40,
    restarts: int = 5,
    size: float | torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    start: torch.Tensor | None = None,
) -> Found:
    """The worst change of each row that projected gradient ascent finds.

    Equations:
        change_{k+1} = project(change_k + step(dloss/dx, size_k)),  size_k = size (1 + cos(π k / steps)) / 2

    The first run begins at ``start`` or at no change at all, each restart at a change drawn from the ball. Every point
    that is met is judged, so a further restart is never weaker, and what is found is never weaker than no change.

    Args:
        loss: [B] of inputs [T, B, ...], to be raised; or a pair of it and of the [B] by which changes are judged, which
            need not be differentiable. Rows must not depend on each other.
        x: [T, B, ...] float.
        ball: where changes may be.
        steps: of each run.
        restarts: the number of runs, 1 at least.
        size: of the first step, of every row or [B] of each; the radius, if None.
        generator: of the starts.
        start: [T, B, ...] a change to begin the first run at.

    References:
        Madry et al. 2018, arXiv 1706.06083.
    """
    slope, named = by_gradient(loss), {"size": size, "generator": generator, "start": start}
    return climb(slope, x, ball, steps=steps, restarts=restarts, **named)  # type: ignore[arg-type]


def climb(
    slope: Callable[[torch.Tensor], Slope],
    x: torch.Tensor,
    ball: Ball,
    *,
    steps: int,
    restarts: int,
    size: float | torch.Tensor | None = None,
    generator: torch.Generator | None = None,
    start: torch.Tensor | None = None,
    enough: float = math.inf,
) -> Found:
    """``projected_gradient`` along any slope, such as an estimate from values alone; for the arguments see there.

    It ends early once every row has a score above ``enough``.
    """
    first = torch.as_tensor(ball.radius if size is None else size).to(x)
    none = torch.zeros_like(x)
    silent = torch.zeros(x.shape[1], dtype=x.dtype, device=x.device)
    best = Found(none, torch.full_like(silent, -math.inf), silent)
    if start is not None:
        best = Found(none, slope(x).score, silent)
    for run in range(restarts):
        begin = none if start is None else start
        change = ball.project(begin) if run == 0 else ball.start(x, generator)
        for step in range(steps + 1):
            found = slope(ball.moved(x, change))
            best = best.worse(Found(change, found.score, silent))
            if bool((best.score > enough).all()):
                return Found(best.change, best.score, silent)
            if step < steps:
                move = ball.step(found.gradient, first * (1 + math.cos(math.pi * step / steps)) / 2)
                silent = silent + (ball.size(move) == 0) / (steps * restarts)
                change = ball.project(change + move)
    return Found(best.change, best.score, silent)
