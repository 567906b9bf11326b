"""The three ways to run the layers of a call: on rows, as operations of torch, and traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tidegate.cell.parameter import attribute
from tidegate.nn.operator import run_operator
from tidegate.nn.rows import Batch, Lengths
from tidegate.runtime import Obstacle, Rows, SizedCell, operator_obstacle, run_layer, trace_layer

Tensors = tuple[Tensor, ...]


class Call(Protocol):
    """The sequences of one call, and how its layers run.

    Attributes:
        x: the input of the first layer.
        size: how many sequences there are, those of length zero included.
        steps: of the caller's layout.
        resets: for each row whether all states are reset before it; None for nowhere.
        order: for each sequence as it lies here, the caller's index; None if that is the same.
        back: the inverse of ``order``.
        obstacle: what kept the first such layer from the engine; None for nothing.
    """

    x: Tensor
    size: int
    steps: int
    resets: Tensor | None
    order: Tensor | None
    back: Tensor | None
    obstacle: Obstacle | None

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor]) -> Tensors:
        """Output and last states of one layer, given its input, first states, parameters and masks."""

    def place(self, mask: Tensor, each: str) -> Tensor:
        """A mask in the caller's order, as the sequences lie here."""

    def restore(self, output: Tensor) -> Any:
        """The output in the caller's layout."""


class RowCall:
    """Sequences as rows without padding. Each layer runs by the fastest path that applies."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.x, self.row_steps, self.resets = batch.rows
        self.size, self.steps, self.order, self.back = batch.size, batch.steps, batch.order, batch.back
        self.place, self.restore = batch.place, batch.restore
        self.obstacle: Obstacle | None = None

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor]) -> Tensors:
        """As ``Call`` describes."""
        obstacle, results = run_layer(cell, Rows(x, self.row_steps, self.resets), self.size, first, tensors)
        self.obstacle = self.obstacle or obstacle
        return results


class TraceCall(RowCall):
    """Rows whose layers run by the definition, so that all values can be read.

    Attributes:
        values: every gate and new state by its name on the layer, laid out as the caller's output.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.layer, self.values = 0, dict[str, Any]()

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor]) -> Tensors:
        """As ``Call`` describes, but without last states."""
        reported, rows = cell.graph.reported, Rows(x, self.row_steps, self.resets)
        output, traces = trace_layer(cell, rows, self.size, first, tensors, [*reported.values()])
        for reverse, trace in zip((False, True), traces, strict=False):
            for name, value in zip(reported, trace, strict=True):
                here = attribute(name, self.layer, reverse=reverse)
                self.values[here] = self.restore(value, float("nan"))
        self.layer += 1
        return (output,)


class OperatorCall:
    """A padded batch [T, B, I] in the caller's order. Each layer runs as one operation of torch."""

    def __init__(self, x: Tensor, lengths: Lengths | None, resets: Tensor | None) -> None:
        self.x, self.lengths, self.resets = x, lengths, resets
        self.steps, self.size = x.shape[:2]
        self.order: Tensor | None = None
        self.back: Tensor | None = None
        self.obstacle: Obstacle | None = None

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor]) -> Tensors:
        """As ``Call`` describes."""
        if not torch.compiler.is_compiling():  # what is compiled now runs later, perhaps on another machine
            self.obstacle = self.obstacle or operator_obstacle(cell, x, first, tensors)
        return run_operator(cell, x, self.lengths, self.resets, first, tensors)

    def place(self, mask: Tensor, each: str) -> Tensor:
        """The mask: the sequences lie in the caller's order."""
        del each
        return mask

    def restore(self, output: Tensor) -> Tensor:
        """The output: it has the caller's layout."""
        return output
