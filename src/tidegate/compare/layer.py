"""The layer of a trial: one cell at one size, for whatever number of features a task has."""

from __future__ import annotations

from collections.abc import Callable

from tidegate.nn import Recurrent
from tidegate.spec import Graph


def layer_of(graph: Graph, hidden_size: int) -> Callable[[int], Recurrent]:
    """What makes the layer from a number of features; a cell that takes as many as it has units gets so many."""
    return lambda features: Recurrent(graph, hidden_size if graph.input_axis == "H" else features, hidden_size)
