"""Recurrent dropout: one mask for all steps of a sequence (Gal & Ghahramani 2016, arXiv 1512.05287)."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cell.graph import Graph, Op
from tidegate.cell.parameter import PROJECTION, factored
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter

MASK = "dropout_{}"  # by an axis, or by matrix and block


def drop_recurrent(graph: Graph, *, each_gate: bool = False) -> Graph:
    """The same cell with ``U(h * m)`` for ``U(h)``, in every matrix that is applied to something else than the input.

    A unit that is dropped is so for all of these matrices: ``U(r * h)`` becomes ``U(r * h * m)`` with the same m. The
    projection of an output is not one of them.

    Args:
        graph: the cell.
        each_gate: every block of rows has a mask of its own, as in Keras.
    """
    halves = factored(graph)  # of U = A B, B is applied to h

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        node = graph.nodes[index]
        if node.op is not Op.PRODUCT or node.matrix == PROJECTION or not graph.is_recurrent(node.args[0]):
            return None
        if node.matrix in halves:
            return None
        (operand,) = args
        name = MASK.format(f"{node.matrix}_{node.name}" if each_gate else operand.axis)
        return rewriter.copy(node, [operand * rewriter.mask(name, operand.axis, "sequence")])

    return Rewriter("drop_recurrent", graph, change).finished()
