"""One layer of a network, in one or two directions, by the fastest path that applies."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tidegate.runtime import fused
from tidegate.runtime.call import Task, Tensors
from tidegate.runtime.path import Obstacle, check_strict
from tidegate.runtime.rows import Rows
from tidegate.runtime.sized import SizedCell


def run_layer(
    cell: SizedCell, rows: Rows, sequences: int, first: Tensors | None, parameters: Sequence[torch.Tensor]
) -> tuple[Obstacle | None, Tensors]:
    """Run a cell over sequences, forward and perhaps also backward in time.

    The engine is used for plain CPU tensors of float32 or float64, outside of torch's transforms, compilers and
    autocast. Everything else runs eagerly, with the same results.

    Args:
        cell: with its widths.
        rows: the input sequences.
        sequences: how many there are, those of length zero included (B).
        first: for each state [directions, B, width]; None for zeros.
        parameters: as ``cell.names`` orders them, those of the second direction, if there is one, behind those of
            the first.

    Returns:
        What kept the layer from the engine, None for nothing; and the output laid out as ``rows.data``, directions
        side by side, and for each state its last values [directions, B, width].

    Raises:
        InputError, BackendError: under ``strict``, where it would run eagerly.
    """
    task = _task(cell, rows, sequences, parameters)
    obstacle = fused.obstacle(cell, rows.data, first, parameters)
    if obstacle is None:
        return None, fused.run(task, rows.data, first, parameters)
    check_strict(obstacle)
    return obstacle, fused.run_eagerly(task, rows.data, first, parameters)


def trace_layer(
    cell: SizedCell,
    rows: Rows,
    sequences: int,
    first: Tensors | None,
    parameters: Sequence[torch.Tensor],
    wanted: Sequence[int],
) -> tuple[torch.Tensor, list[list[torch.Tensor]]]:
    """As ``run_layer``, eagerly; returns the output, and for each direction the values of these nodes at every step."""
    nodes = [cell.graph.updates[0], *wanted]
    seen = fused.trace(_task(cell, rows, sequences, parameters), rows.data, first, parameters, nodes)
    return torch.cat([values[0] for values, _ in seen], -1), [values[1:] for values, _ in seen]


def _task(cell: SizedCell, rows: Rows, sequences: int, parameters: Sequence[torch.Tensor]) -> Task:
    resets = None if rows.resets is None else rows.resets.to(torch.uint8)
    return Task(cell, rows.steps, sequences, len(parameters) // len(cell.names), resets)
