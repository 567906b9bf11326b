"""Where a loss rises: its gradient, or an estimate of it from values alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

Loss = Callable[[torch.Tensor], torch.Tensor]
Judged = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]  # the loss to climb, and the score that counts


class Slope(NamedTuple):
    """A score [B], and the gradient of a loss by the inputs [T, B, ...]."""

    score: torch.Tensor
    gradient: torch.Tensor


def by_gradient(loss: Loss | Judged) -> Callable[[torch.Tensor], Slope]:
    """The slope of a loss whose rows do not depend on each other, by one backward pass.

    Args:
        loss: [B] of inputs [T, B, ...]; or the same and what scores the inputs, which needs no gradient.
    """

    def slope(x: torch.Tensor) -> Slope:
        with torch.enable_grad():
            inputs = x.detach().requires_grad_()
            found = loss(inputs)
            value, score = found if isinstance(found, tuple) else (found, found)
            if not value.requires_grad:  # nothing between inputs and loss can be differentiated
                return Slope(score.detach(), torch.zeros_like(x))
            (gradient,) = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
        return Slope(score.detach(), torch.zeros_like(x) if gradient is None else gradient)

    return slope


def by_queries(
    loss: Loss,
    width: float | torch.Tensor,
    pairs: int = 8,
    generator: torch.Generator | None = None,
    mask: torch.Tensor | None = None,
) -> Callable[[torch.Tensor], Slope]:
    """The slope of a loss, estimated from 2 ``pairs`` + 1 of its values.

    Equations:
        g = mean_k (f(x + width v_k) - f(x - width v_k)) / (2 width) v_k, with v_k drawn from {-1, 1}

    It needs no derivative, so it rises where rounding, a table or a saturated softmax has hidden the gradient.

    Args:
        loss: [B] of inputs [T, B, ...], whose rows do not depend on each other.
        width: of the differences, of every row or [B] of each.
        pairs: of values.
        generator: of the directions.
        mask: bool, broadcast against the inputs: where directions are not 0.

    References:
        Spall 1992; Uesato et al. 2018, arXiv 1802.05666.
    """

    def slope(x: torch.Tensor) -> Slope:
        wide = torch.as_tensor(width).to(x).reshape(1, -1, *[1] * (x.dim() - 2))
        gradient = torch.zeros_like(x)
        with torch.no_grad():
            for _ in range(pairs):
                signs = torch.randint(0, 2, x.shape, generator=generator).to(x) * 2 - 1
                signs = signs if mask is None else torch.where(mask, signs, torch.zeros_like(signs))
                rise = loss(x + wide * signs) - loss(x - wide * signs)
                gradient += signs * rise.reshape(1, -1, *[1] * (x.dim() - 2))
            return Slope(loss(x), gradient / (2 * pairs * wide))

    return slope
