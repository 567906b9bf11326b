"""Clipping: each unit's gradient is made shorter until it is short enough, then all are added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from tidegate.private.use import Use


def clip_factors(squares: torch.Tensor, clip_norm: float) -> torch.Tensor:
    """What each unit's gradient is multiplied by: min(1, C / |g[b]|).

    Args:
        squares: the squared norms |g[b]|^2.
        clip_norm: C; ``math.inf`` leaves every gradient as it is.

    Shapes:
        squares and the result [units].
    """
    return (clip_norm / squares.sqrt()).clamp_(max=1.0) if clip_norm < torch.inf else torch.ones_like(squares)


def add_clipped(sums: Mapping[int, torch.Tensor], uses: Iterable[Use], factors: torch.Tensor) -> None:
    """Add the gradients of all units, each times its factor, to sums: one product for each use.

    Equations:
        sums[parameter][place] += sum_b factor[b] sum_t adjoint[t, b] operand[t, b]^T

    Args:
        sums: of each parameter, by its ``id``; they are changed in place.
        uses: of the parameters.
        factors: of the units.

    Shapes:
        factors: [units].
    """
    for use in uses:
        own = factors if use.owner is None else factors[use.owner]
        at = sums[id(use.parameter)][use.place]
        if use.operand is None:
            at += torch.tensordot(own.to(use.adjoint.dtype), use.adjoint.sum(0), 1).reshape(at.shape)
        elif use.operand.is_floating_point():
            at += _weighted(use.adjoint, use.operand, own).reshape(at.shape)
        else:
            weighted = use.adjoint * own.to(use.adjoint.dtype)[:, None]
            at.index_add_(0, use.operand.flatten(), weighted.flatten(0, 1))


def _weighted(adjoint: torch.Tensor, operand: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """One product; the factors go to what is narrower."""
    weight = factors.to(adjoint.dtype)[:, None]
    if operand.shape[-1] < adjoint.shape[-1]:
        operand = operand * weight
    else:
        adjoint = adjoint * weight
    return adjoint.flatten(0, 1).T @ operand.flatten(0, 1)
