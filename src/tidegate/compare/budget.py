"""Equal budgets: the hidden size that gives every model about the same number of parameters."""

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
    """The number of parameters of the task's model with an LSTM of the recipe's hidden size."""
    return count_parameters(task, LSTM.graph, task.setting.hidden_size)


def count_parameters(task: AnyTask, graph: Graph, hidden_size: int) -> int:
    """Count the trainable parameters of the whole model, encoder and head included, without allocating them."""
    with torch.device("meta"):
        model = task.model(make_layer(graph, replace(task.setting, hidden_size=hidden_size)))
    return sum(parameter.numel() for parameter in model.parameters())


def solve_hidden_size(task: AnyTask, graph: Graph, budget: int) -> tuple[int, int]:
    """Find the hidden size whose model comes closest to the budget, by bisection.

    Args:
        task: makes the model.
        graph: the cell.
        budget: parameters of the whole model.

    Returns:
        The hidden size, and the parameters of its model.

    Raises:
        InputError: no hidden size from 1 to 65,536 comes within half of the budget.
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
            f"{graph.name} cannot have about {budget:,} parameters: the closest are {sizes[best]:,}, with {best:,} "
            f"unit{'s' if best > 1 else ''}",
            fix=f"set a budget of at {'least' if sizes[best] > budget else 'most'} {sizes[best]:,}",
        )
    return best, sizes[best]
