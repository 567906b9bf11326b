"""Hold units of the output state at given values, to see what depends on them."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cell.graph import Graph
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter

FREE = "hold_free"  # 1 for units that run as they are, 0 for those that are held
HELD = "hold_value"  # the values of those, 0 for the others


def hold(graph: Graph) -> Graph:
    """The same cell with ``free * h + value`` for its new output state h.

    ``free`` and ``value`` are masks, one row for each sequence. What a step computes from the new h, and what the next
    step reads of it, is computed from the held one.

    Args:
        graph: the cell.
    """
    axis, at = graph.output.axis, graph.updates[0]  # the first state is the output

    def held(rewriter: Rewriter, value: Symbol) -> Symbol:
        kept: Symbol = rewriter.mask(FREE, axis, "sequence") * value + rewriter.mask(HELD, axis, "sequence")
        return kept

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        if index != at or not args:  # a leaf may also be what the step began with
            return None
        return held(rewriter, rewriter.copy(graph.nodes[index], args))

    rewriter = Rewriter("hold", graph, change)
    updates = [rewriter.values[index] for index in graph.updates]
    if not graph.nodes[at].args:
        updates[0] = held(rewriter, updates[0])
    return rewriter.finished(updates)
