"""What a cell costs: parameters and floating-point operations, counted on its graph."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.cell.graph import BINARY, REDUCTIONS, UNARY, Graph, Op, all_widths


def parameters(graph: Graph, axes: Mapping[str, int]) -> int:
    """Parameters of one layer and direction, given the width of each axis; see ``cell.width``."""
    total = sum(axes[block.axis] for vector in graph.vectors for block in vector.blocks)
    for matrix in graph.matrices:
        for block in matrix.blocks:
            total += axes[block.axis] * (axes[matrix.columns] // matrix.heads + block.bias)
    return total


def flops(graph: Graph, axes: Mapping[str, int]) -> int:
    """Floating-point operations of one step on one row.

    A multiply-add of a product counts as two, a bias as one, and every pointwise operation as one,
    transcendental functions included; of a mean each unit counts as one, of a variance as three.
    """
    total = 0
    for matrix in graph.matrices:
        for block in matrix.blocks:
            total += axes[block.axis] * (2 * axes[matrix.columns] // matrix.heads + block.bias)
    widths = all_widths(axes)
    total += sum(widths[node.axis] for node in graph.nodes if node.op in BINARY | UNARY and node.axis)
    reductions = [node for node in graph.nodes if node.op in REDUCTIONS]
    each = {Op.MEAN: 1, Op.VARIANCE: 3}
    return total + sum(each[node.op] * widths[graph.nodes[arg].axis] for node in reductions for arg in node.args)
