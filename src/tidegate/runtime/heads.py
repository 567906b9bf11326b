"""Matrices with heads as torch sees them: products head by head, and the whole matrix that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.nn.functional import linear

from tidegate.cell import Graph

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


def multiplier(weight: torch.Tensor, bias: torch.Tensor | None, rows: Sequence[int], heads: int) -> Multiply:
    """What multiplies an operand by a matrix, with heads or without; arguments are those of ``by_heads``."""
    if heads > 1:
        return by_heads(weight, bias, rows, heads)
    return lambda operand: linear(operand, weight, bias).split(list(rows), dim=-1)


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


def stored(weight: torch.Tensor, rows: Sequence[int], heads: int) -> torch.Tensor | None:
    """What ``whole`` makes this matrix of; None where a unit sees units of other heads.

    Args:
        weight: [rows, columns].
        rows: of each block.
        heads: as many divide the columns and the rows of each block.
    """
    blocks = [block.unflatten(0, (heads, -1)).unflatten(-1, (heads, -1)) for block in weight.split(list(rows))]
    kept = torch.cat([block[torch.arange(heads), :, torch.arange(heads)].flatten(0, 1) for block in blocks])
    return kept if torch.equal(whole(kept, rows, heads), weight) else None


def whole_parameters(
    graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The parameters of the same cell without heads (``passes.without_heads``).

    Args:
        graph: the cell.
        widths: of its axes.
        parameters: of one layer and direction, as ``cell.parameter.parameter_shapes`` names them.
    """
    found = dict(parameters)
    for matrix in graph.matrices:
        name = f"weight_{matrix.name}"
        found[name] = whole(found[name], [widths[block.axis] for block in matrix.blocks], matrix.heads)
    return found
