"""The layers of a trial: one cell at one size, for whatever number of features a task has."""

from __future__ import annotations

from typing import Any

import torch

from tidegate.cell import Graph
from tidegate.cell.measure import flops
from tidegate.nn import Recurrent
from tidegate.train.task import MakeLayer


def layer_of(graph: Graph, hidden_size: int) -> MakeLayer:
    """What makes a layer from a number of features; a cell that takes as many as it has units gets so many."""

    def make(features: int, /, **options: Any) -> Recurrent:
        return Recurrent(graph, hidden_size if graph.input_axis == "H" else features, hidden_size, **options)

    return make


def flops_per_step(model: Any) -> int:
    """Of its layer in all its directions, and of the map that such a cell needs in front of it."""
    maps = [module for module in model.encoder.modules() if isinstance(module, torch.nn.Linear)]
    in_front = sum(one.out_features * (2 * one.in_features + 1) for one in maps)
    directions: int = 1 + model.layer.bidirectional
    return in_front + directions * flops(model.layer.graph, model.layer.cells[0].widths)
