"""Matrices that are made of one matrix and its mirror image, as definitions declare them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.utils.parametrize import register_parametrization

from tidegate.cell import Graph


class Mirrored(torch.nn.Module):
    """``M + share M^T`` for each square block M of a matrix: antisymmetric for -1, symmetric for 1.

    Args:
        share: of the mirror image.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The matrix that calls multiply by."""
        blocks = weight.unflatten(0, (-1, weight.shape[1]))
        both: torch.Tensor = (blocks + self.share * blocks.mT).flatten(0, 1)
        return both

    def extra_repr(self) -> str:
        return f"share={self.share:g}"


def mirror(module: torch.nn.Module, graph: Graph, attributes: Callable[[str], list[str]]) -> None:
    """Let a module hold M where its cell multiplies by ``M + share M^T``.

    Args:
        module: with the parameters.
        graph: its cell.
        attributes: the names of a parameter of the cell on the module.
    """
    for matrix in graph.matrices:
        if matrix.mirror:
            for name in attributes(f"weight_{matrix.name}"):
                register_parametrization(module, name, Mirrored(matrix.mirror), unsafe=False)
