"""What a cell costs: parameters and floating-point operations, counted on its graph."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.spec.graph import BINARY, UNARY, Graph


def parameters(graph: Graph, axes: Mapping[str, int]) -> int:
    """Parameters of one layer and direction, given the width of each axis; see ``spec.width``."""
    total = sum(axes[axis] for axis in graph.vector_axes.values())
    for matrix in graph.matrices:
        for block in matrix.blocks:
            total += axes[block.axis] * (axes[matrix.columns] + block.bias)
    return total


def flops(graph: Graph, axes: Mapping[str, int]) -> int:
    """Floating-point operations of one step on one row.

    A multiply-add of a product counts as two, a bias as one, and every pointwise operation as one,
    transcendental functions included.
    """
    total = 0
    for matrix in graph.matrices:
        for block in matrix.blocks:
            total += axes[block.axis] * (2 * axes[matrix.columns] + block.bias)
    total += sum(axes[node.axis] for node in graph.nodes if node.op in BINARY | UNARY and node.axis)
    return total
