"""The three ways to run the layers of a call: over rows, as operations of torch, or traced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from tidegate.cell.parameter import attribute
from tidegate.nn import device
from tidegate.nn.operator import run_operator
from tidegate.nn.rows import Batch, Lengths
from tidegate.runtime import Obstacle, Rows, SizedCell, check_layer, operator_obstacle, run_layer, trace_layer

Tensors = tuple[Tensor, ...]


class Call(Protocol):
    """The sequences of one call, and how its layers run.

    Attributes:
        x: the input of the first layer.
        size: the number of sequences, those of length zero included.
        steps: the number of steps in the caller's layout.
        resets: for each row of ``x``, whether all states are reset before it; None if none are.
        order: for each sequence in the order of this call, its index in the caller's order; None if the order is the
            same.
        back: the inverse of ``order``.
        obstacle: why the first layer that did not run on the engine could not; None if all did.
        given: what is given beside the input, each [rows, width], in the order of this call.
        half_output: whether the next layer to run may give its output in half precision.
        reads_half: whether layers take input and parameters in half precision as they are.
    """

    x: Tensor
    size: int
    steps: int
    resets: Tensor | None
    order: Tensor | None
    back: Tensor | None
    obstacle: Obstacle | None
    given: Sequence[Tensor]
    half_output: bool
    reads_half: bool

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], layer: int) -> Tensors:
        """Run one layer.

        Args:
            cell: the cell with its widths.
            x: the input of the layer.
            first: for each state its first values; None for zeros.
            tensors: parameters, what is given, and masks, in the order of ``cell.names``, direction after direction.
            layer: its number in the stack.

        Returns:
            The output, and for each state its last values.

        Raises:
            InputError: a tensor of another shape than the layer reads.
        """

    def run_stack(
        self, cells: Sequence[SizedCell], x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], dropout: float
    ) -> Tensors | None:
        """Run all layers at once, on another device by torch's own function.

        Args:
            cells: of the layers, with their widths.
            x: the input of the first layer.
            first: for each state [L * directions, B, width]; None for zeros.
            tensors: the parameters of all layers.
            dropout: the share of the output of each layer but the last that is dropped.

        Returns:
            The output, and for each state its last values; None where layers must run one by one.

        Raises:
            InputError: a tensor of another shape than a layer reads.
        """

    def place(self, mask: Tensor, each: str) -> Tensor:
        """Bring a mask, or what is given, from the caller's order into the order of this call."""

    def restore(self, output: Tensor) -> Any:
        """Bring the output of the last layer into the caller's layout."""


class RowCall:
    """A call over rows without padding. Each layer runs on the engine if it can, else by its definition."""

    reads_half = True

    def __init__(self, batch: Batch) -> None:
        self.batch, self.half_output = batch, False
        self.x, self.row_steps, self.resets, *_ = batch.rows
        self.size, self.steps, self.order, self.back = batch.size, batch.steps, batch.order, batch.back
        self.place, self.restore = batch.place, batch.restore
        self.obstacle: Obstacle | None = None
        self.given: Sequence[Tensor] = ()

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], layer: int) -> Tensors:
        """As ``Call`` describes."""
        rows = Rows(x, self.row_steps, self.resets, self.restore, self.order)
        obstacle = device.obstacle(cell.graph, x, first, tensors)
        if obstacle is None:
            obstacle, results = run_layer(
                cell, rows, self.size, first, tensors, layer=layer, half_output=self.half_output
            )
        else:
            check_layer(cell, rows, self.size, first, tensors, layer)
            directions = len(tensors) // len(cell.names)
            results = device.run(cell, rows, self.size, first, tensors, device.Shape(1, directions))
        self.obstacle = self.obstacle or obstacle
        return results

    def run_stack(
        self, cells: Sequence[SizedCell], x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], dropout: float
    ) -> Tensors | None:
        """As ``Call`` describes; resets in two directions are another batch for each, so layers run one by one."""
        layers, own = len(cells), len(tensors) // len(cells)
        shape = device.Shape(layers, own // len(cells[0].names), dropout)
        obstacle = device.obstacle(cells[0].graph, x, first, tensors)
        if obstacle is None or (shape.directions == 2 and self.resets is not None):
            return None
        rows = Rows(x, self.row_steps, self.resets)
        for layer, cell in enumerate(cells):
            begun = None if first is None or layer else tuple(state[: shape.directions] for state in first)
            check_layer(cell, rows, self.size, begun, tensors[layer * own : (layer + 1) * own], layer)
        self.obstacle = obstacle
        return device.run(cells[0], rows, self.size, first, tensors, shape)


class TraceCall(RowCall):
    """A call over rows whose layers write down all their values.

    Attributes:
        values: every gate and new state, by names such as ``"f_l0"``, in the layout of the caller's output.
    """

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self.values = dict[str, Any]()

    def run_stack(self, *_: Any) -> None:
        """Return None: layers run one by one."""

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], layer: int) -> Tensors:
        """As ``Call`` describes, but returns the output only."""
        rows = Rows(x, self.row_steps, self.resets)
        obstacle, output, traces = trace_layer(cell, rows, self.size, first, tensors, layer=layer)
        self.obstacle = self.obstacle or obstacle
        for reverse, trace in zip((False, True), traces, strict=False):
            for name, value in trace.items():
                here = attribute(name, layer, reverse=reverse)
                self.values[here] = self.restore(value, float("nan"))
        return (output,)


class OperatorCall:
    """A call over a padded batch [T, B, I] in the caller's order. Each layer runs as one operation of torch."""

    reads_half = False

    def __init__(self, x: Tensor, lengths: Lengths | None, resets: Tensor | None) -> None:
        self.half_output = False
        self.x, self.lengths, self.resets = x, lengths, resets
        self.steps, self.size = x.shape[:2]
        self.order: Tensor | None = None
        self.back: Tensor | None = None
        self.obstacle: Obstacle | None = None
        self.given: Sequence[Tensor] = ()

    def run(self, cell: SizedCell, x: Tensor, first: Tensors | None, tensors: Sequence[Tensor], layer: int) -> Tensors:
        """As ``Call`` describes; errors do not name the layer."""
        del layer
        if not torch.compiler.is_compiling():  # the compiled code runs later, perhaps on another machine
            self.obstacle = self.obstacle or operator_obstacle(cell, x, first, tensors)
        return run_operator(cell, x, self.lengths, self.resets, first, tensors)

    def run_stack(self, *_: Any) -> None:
        """Return None: layers run one by one."""

    def place(self, mask: Tensor, each: str) -> Tensor:
        """Return the mask as it is: this call has the caller's order."""
        del each
        return mask

    def restore(self, output: Tensor) -> Tensor:
        """Return the output as it is: this call has the caller's layout."""
        return output
