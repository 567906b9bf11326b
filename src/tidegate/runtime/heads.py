"""Matrices with heads as torch sees them: products head by head, and the whole matrix that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

Multiply = Callable[[torch.Tensor], Sequence[torch.Tensor]]


def by_heads(weight: torch.Tensor, bias: torch.Tensor | None, rows: Sequence[int], heads: int) -> Multiply:
    """What multiplies an operand [N, columns] and gives the product of each block, [N, rows of the block].

    Args:
        weight: stored as [rows, columns / heads], see ``cell.Matrix``.
        bias: [rows], or None.
        rows: of each block.
        heads: as many divide the columns and the rows of each block.
    """
    apart = torch.cat([block.unflatten(0, (heads, -1)) for block in weight.split(list(rows))], 1)
    biases = [] if bias is None else bias.split(list(rows))

    def multiply(operand: torch.Tensor) -> Sequence[torch.Tensor]:
        found = torch.einsum("nhc,hrc->nhr", operand.unflatten(-1, (heads, -1)), apart)
        parts = [part.flatten(-2) for part in found.split([count // heads for count in rows], -1)]
        return [part + own for part, own in zip(parts, biases, strict=True)] if biases else parts

    return multiply


def whole(weight: torch.Tensor, rows: Sequence[int], heads: int) -> torch.Tensor:
    """The matrix [rows, columns] that one with heads stands for: zeros where a unit sees nothing.

    Args:
        weight: stored as [rows, columns / heads], see ``cell.Matrix``.
        rows: of each block.
        heads: as many divide the rows of each block.
    """
    if heads == 1:
        return weight
    blocks = [torch.block_diag(*block.unflatten(0, (heads, -1))) for block in weight.split(list(rows))]
    return torch.cat(blocks)
