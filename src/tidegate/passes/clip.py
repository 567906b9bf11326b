"""Keep the states of a cell within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.cell.function import clamp
from tidegate.cell.graph import Graph
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter


def clip(graph: Graph, bounds: Mapping[str, float]) -> Graph:
    """The same cell with new states in [-s, s], for the states that have a bound s.

    What a step computes from a new state, as an LSTM computes h from c, it computes from the clipped one. The gradient
    is that of torch.clamp: 1 within the bounds, both included, and 0 beyond. First states are not clipped.

    Args:
        graph: the cell.
        bounds: for each state to clip, its bound s.
    """
    limits = {n: bounds[s.name] for s, n in zip(graph.states, graph.updates, strict=True) if s.name in bounds}

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        if index not in limits or not args:  # a leaf may also be what the step began with
            return None
        clipped: Symbol = clamp(rewriter.copy(graph.nodes[index], args), limits[index])
        return clipped

    rewriter = Rewriter("clip", graph, change)
    updates = [rewriter.values[index] for index in graph.updates]
    for k, index in enumerate(graph.updates):
        if index in limits and not graph.nodes[index].args:
            updates[k] = clamp(updates[k], limits[index])
    return rewriter.finished(updates)
