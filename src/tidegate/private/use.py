"""Where a parameter took part in a run: what the gradients of single units are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, eq=False)
class Use:
    """One place where a leaf parameter took part in a run, after the backward run of a sum of losses.

    Every gradient is a sum over steps t and sequences b of what one step adds, and so the gradient of a single unit is
    the same sum over its own sequences. A parameter that is used several times (tied or shared weights, both
    directions of a layer, a module that is called twice) has a ``Use`` for each. They count as more steps of one sum,
    so their cross terms belong to the norm.

    Equations:
        matrix:  g[b] = sum_t adjoint[t, b] operand[t, b]^T,  in the shape of parameter[place]
        vector:  g[b] = sum_t adjoint[t, b]
        rows:    g[b][operand[t, b]] += adjoint[t, b]  for every t, of an embedding

    Attributes:
        parameter: the leaf that an optimizer changes.
        place: index of the part of it that was used; ``...`` for the whole.
        adjoint: dL/dp[t] of the product p[t] = M o[t] that M = parameter[place] made, or the summands of a vector's
            gradient, or what came back to the rows of an embedding. Zero at padding.
        operand: o[t]; the numbers of the rows, int64, for an embedding; None for a vector.
        owner: the unit that each sequence belongs to; None where sequence b belongs to unit b.

    Shapes:
        matrix: adjoint [T, B, rows], operand [T, B, columns]; parameter[place] has rows * columns elements, such as
        [rows, columns], or [rows, channels, taps] of a convolution, whose columns are flattened.
        vector: adjoint [T, B, *shape of parameter[place]].
        rows: adjoint [T, B, columns], operand [T, B]; parameter[place] is [rows, columns].
        owner: [B] int64.
    """

    parameter: torch.Tensor
    place: Any
    adjoint: torch.Tensor
    operand: torch.Tensor | None = None
    owner: torch.Tensor | None = None
