"""Resets to learned states as equations of the cell; resets to zeros need none, the runtime does them."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cell.graph import Graph, Op
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter

INITIAL = "initial_{}"  # the vector of a state
MASK = "reset_{}"  # by an axis


def restart(graph: Graph) -> Graph:
    """The same cell, which sees ``(1 - r) s + r initial_s`` for each state s.

    The mask r is 1 at steps that begin anew and 0 elsewhere; the vectors ``initial_s`` get their gradients from it.
    """

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        node = graph.nodes[index]
        if node.op is not Op.STATE:
            return None
        begins = rewriter.mask(MASK.format(node.axis), node.axis, "step")
        first = rewriter.vector(INITIAL.format(node.name), node.axis)
        return (1 - begins) * rewriter.copy(node, args) + begins * first

    return Rewriter("restart", graph, change).finished()
