"""The layer of a trial: one cell at one size, for whatever number of features a task has."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tidegate.nn import Recurrent
from tidegate.spec import Graph
from tidegate.spec.measure import flops
from tidegate.tasks import SequenceModel


def layer_of(graph: Graph, hidden_size: int) -> Callable[[int], Recurrent]:
    """What makes the layer from a number of features; a cell that takes as many as it has units gets so many."""
    return lambda features: Recurrent(graph, hidden_size if graph.input_axis == "H" else features, hidden_size)


def flops_per_step(model: SequenceModel) -> int:
    """Of its layer, and of the map that such a cell needs in front of it."""
    maps = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    in_front = sum(one.out_features * (2 * one.in_features + 1) for one in maps)
    return in_front + flops(model.layer.graph, model.layer.cells[0].widths)
