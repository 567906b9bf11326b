"""Equal budgets: the hidden size at which a cell has as many parameters as all the others."""

from __future__ import annotations

from dataclasses import replace

import torch

from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.train.layer import make_layer
from tidegate.train.task import AnyTask
from tidegate.zoo import LSTM

LARGEST = 1 << 16


def default_budget(task: AnyTask) -> int:
    """The parameters of the model that ``tidegate train`` makes of these settings with an LSTM."""
    return count_parameters(task, LSTM.graph, task.setting.hidden_size)


def count_parameters(task: AnyTask, graph: Graph, hidden_size: int) -> int:
    """Trainable parameters of the whole model, encoder and head included; nothing is allocated."""
    with torch.device("meta"):
        model = task.model(make_layer(graph, replace(task.setting, hidden_size=hidden_size)))
    return sum(parameter.numel() for parameter in model.parameters())


def solve_hidden_size(task: AnyTask, graph: Graph, budget: int) -> tuple[int, int]:
    """The hidden size whose model comes nearest to the budget, and the number of its parameters.

    Raises:
        InputError: even one unit has too many parameters, or 65,536 units have too few, by half of the budget.
    """
    low, high = 1, 2
    while count_parameters(task, graph, high) < budget and high < LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count_parameters(task, graph, middle) < budget else (low, middle)
    sizes = {size: count_parameters(task, graph, size) for size in (low, high)}
    best = min(sizes, key=lambda size: abs(sizes[size] - budget))
    if not 0.5 * budget <= sizes[best] <= 1.5 * budget:
        raise InputError(
            "BUDGET",
            f"{graph.name} comes no nearer to the budget of {budget:,} parameters than {sizes[best]:,}, with {best:,} "
            f"unit{'s' if best > 1 else ''}",
            fix=f"set a budget of at {'least' if sizes[best] > budget else 'most'} {sizes[best]:,}",
        )
    return best, sizes[best]
