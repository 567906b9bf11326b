"""One layer of a network, in one or two directions, by the fastest path that applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from tidegate.runtime import fused
from tidegate.runtime.eager import Rows, Tensors
from tidegate.spec import Graph

_eager_only: ContextVar[bool] = ContextVar("eager_only", default=False)


@contextmanager
def eager_only() -> Iterator[None]:
    """Run every layer by its definition inside this block, as a reference or for comparison."""
    token = _eager_only.set(True)
    try:
        yield
    finally:
        _eager_only.reset(token)


def run_layer(
    graph: Graph, widths: Mapping[str, int], rows: Rows, first: Tensors, parameters: Sequence[Sequence[torch.Tensor]]
) -> Tensors:
    """Run a cell over sequences, forward and perhaps also backward in time.

    The engine is used for plain CPU tensors of float32 or float64, outside of torch's transforms, compilers and
    autocast. Everything else runs eagerly, with the same results.

    Args:
        graph: the cell.
        widths: the width of each axis of the graph.
        rows: the input sequences.
        first: for each state [directions, B, width].
        parameters: for each direction the parameters, as ``spec.parameter.parameter_shapes`` orders them.

    Returns:
        The output laid out as ``rows.data``, directions side by side, and for each state its last
        values [directions, B, width].
    """
    resets = None if rows.resets is None else rows.resets.to(torch.uint8)
    task = fused.Task(
        graph, tuple(widths.items()), fused.steps_of(rows.sizes), first[0].shape[1], len(parameters), resets
    )
    tensors = [parameter for own in parameters for parameter in own]
    if not _eager_only.get() and fused.applies(task, (rows.data, *first, *tensors)):
        return fused.run(task, rows.data, first, tensors)
    return fused.run_eagerly(task, rows.data, [*first, *tensors])
