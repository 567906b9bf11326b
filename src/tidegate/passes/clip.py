"""Keep the states of a cell within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidegate.cell.function import clamp
from tidegate.cell.graph import Graph
from tidegate.cell.symbol import Symbol
from tidegate.passes.rewrite import Rewriter

BOUND = "clip_{}"  # by the name of a state


def clip(graph: Graph, bounds: Mapping[str, float]) -> Graph:
    """The same cell with new states in [-s, s], for the states that have a bound s.

    What a step computes from a new state, as an LSTM computes h from c, it computes from the clipped one. The gradient
    is that of torch.clamp: 1 within the bounds, both included, and 0 beyond. First states are not clipped.

    Args:
        graph: the cell.
        bounds: for each state to clip, its bound s.
    """
    clipped = {n: s.name for s, n in zip(graph.states, graph.updates, strict=True) if s.name in bounds}

    def within(rewriter: Rewriter, index: int, value: Symbol) -> Symbol:
        state = clipped[index]
        bounded: Symbol = clamp(value, rewriter.setting(BOUND.format(state), bounds[state]))
        return bounded

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        if index not in clipped or not args:  # a leaf may also be what the step began with
            return None
        return within(rewriter, index, rewriter.copy(graph.nodes[index], args))

    rewriter = Rewriter("clip", graph, change)
    updates = [rewriter.values[index] for index in graph.updates]
    for k, index in enumerate(graph.updates):
        if index in clipped and not graph.nodes[index].args:
            updates[k] = within(rewriter, index, updates[k])
    return rewriter.finished(updates)
