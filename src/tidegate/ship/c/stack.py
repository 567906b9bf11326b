"""A stack of layers as functions of C: for each layer and direction its form, its weights and its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from tidegate.cell.graph import Graph, all_widths
from tidegate.emit.c99 import Names, Text, step_text
from tidegate.emit.c99_function import FUNCTIONS
from tidegate.emit.sums import Call, Form, form_of
from tidegate.errors import EmitError
from tidegate.nn import Recurrent
from tidegate.ship.c.array import Arrays
from tidegate.ship.c.kernel import Kernel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Unit:
    """One layer in one direction.

    Attributes:
        suffix: of the names of what belongs to it, such as ``l0`` or ``l1_reverse``.
        form: its step.
        text: the same as C.
        first: for each state the array that it begins with, "" for zeros.
    """

    STATE: ClassVar[tuple[str, int]] = "float", 4  # the type of what a state keeps, and its bytes

    suffix: str
    form: Form
    text: Text
    first: Mapping[str, str]
    functions: ClassVar[Mapping[str, str]] = FUNCTIONS

    @property
    def called(self) -> frozenset[str]:
        """The functions that it calls."""
        return self.text.functions

    def entered(self, _row: str) -> list[str]:
        """What makes of a row of floats an input of this layer."""
        return []

    def input(self, row: str) -> str:
        """The name of that input."""
        return row

    def left(self, row: str, member: str) -> str:
        """What makes of a member of the state a row of floats."""
        return f"memcpy({row}, {member}, sizeof {member});"

    @property
    def graph(self) -> Graph:
        return self.form.graph

    @property
    def members(self) -> list[tuple[str, int]]:
        """Of the state structure: names and widths."""
        return [(f"{state.name}_{self.suffix}", self.form.widths[state.axis]) for state in self.graph.states]


def row_widths(layer: Recurrent) -> dict[str, int]:
    """What stands in a row of the input, one behind the other: features, and what the cell reads beside them.

    Raises:
        EmitError: layers above the first would read it too, whose rows hold the output of another layer.
    """
    graph, widths = layer.graph, all_widths(layer.cells[0].widths)
    if graph.given and layer.num_layers > 1:
        names = " and ".join(value.name for value in graph.given)
        raise EmitError(
            "C_GIVEN",
            f"layers of {graph.name} above the first read {names} beside the output of another layer",
            fix="ship a single layer, or to onnx",
        )
    return {"x": layer.input_size, **{value.name: widths[value.axis] for value in graph.given}}


def units(layer: Recurrent, arrays: Arrays, kernel: Kernel, prefix: str, label: str = "") -> Iterator[Unit]:
    """The layers of a stack, each with its directions.

    Args:
        layer: the stack.
        arrays: takes the weights.
        kernel: lays matrices out.
        prefix: of all names.
        label: before the number of a layer, where there are several stacks.
    """
    row_widths(layer)
    directions = 1 + layer.bidirectional
    learned = layer.learned_states(1)
    for k, cell in enumerate(layer.cells):
        tensors = layer.layer_parameters(k)
        count = len(cell.parameters)
        for d in range(directions):
            own = [numbers(tensor) for tensor in tensors[d * count : (d + 1) * count]]
            suffix = f"{label}l{k}{'_reverse' if d else ''}"
            weights = _Weights(form_of(cell.graph, cell.widths), dict(zip(cell.parameters, own, strict=True)), suffix)
            first = {}
            for s, state in enumerate(cell.graph.states):
                start = numbers(learned[s][k * directions + d, 0]) if learned else np.zeros(1)
                first[state.name] = arrays.add(f"@first_{state.name}_{suffix}", start) if start.any() else ""
            names = weights.named(arrays, kernel)
            yield Unit(suffix, weights.form, step_text(weights.form, names, prefix), first)


def numbers(tensor: torch.Tensor) -> Floats:
    """A parameter as float64."""
    values: Floats = tensor.detach().double().cpu().numpy()
    return values


class _Weights:
    """The parameters of one layer and direction, as the steps of its form read them."""

    def __init__(self, form: Form, parameters: Mapping[str, Floats], suffix: str) -> None:
        self.form, self.parameters, self.suffix = form, parameters, suffix

    def named(self, arrays: Arrays, kernel: Kernel) -> Names:
        """Put all arrays there; how they and the states are called."""
        form = self.form
        states = {state.name: f"{state.name}_{self.suffix}" for state in form.graph.states}
        weights = [[self._matrix(call, arrays, kernel) for call in calls] for calls in form.calls]
        vectors = {}
        for node in form.nodes:
            if node.op == "vector":
                values = self._block(node.matrix, node.matrix, node.name)
                vectors[node.matrix, node.name] = arrays.add(f"@{self._label(node.matrix, node.name)}", values)
        bias = [self._bias(row.width, form.biases(row)) for row in form.sums]
        start = np.concatenate(bias) if bias else np.zeros(0)
        return Names(states, weights, vectors, arrays.add(f"@b_{self.suffix}", start) if start.any() else "")

    def _matrix(self, call: Call, arrays: Arrays, kernel: Kernel) -> str:
        rows = [self._block(f"weight_{call.matrix}", call.matrix, block) for block in call.blocks]
        of_all = len(rows) == len(self.form.graph.matrix(call.matrix).blocks)
        label = f"{call.matrix}_{self.suffix}" if of_all else self._label(call.matrix, "_".join(call.blocks))
        heads = np.split(np.concatenate(rows), call.heads)
        return arrays.add(f"@{label}", np.concatenate([kernel.arrange(head) for head in heads]))

    def _label(self, name: str, block: str) -> str:
        return f"{name}_{self.suffix}" if block == name else f"{name}_{block}_{self.suffix}"

    def _bias(self, width: int, biases: list[tuple[str, str]]) -> Floats:
        total = np.zeros(width)
        for matrix, block in biases:
            total = total + self._block(f"bias_{matrix}", matrix, block)
        return total

    def _block(self, parameter: str, owner: str, name: str) -> Floats:
        """The rows of one block of a parameter of a matrix or vector; a bias has those of biased blocks alone."""
        blocks = next(p for p in self.form.graph.parameters if p.name == owner).blocks
        stored = [b for b in blocks if b.bias] if parameter == f"bias_{owner}" else blocks
        at = 0
        for block in stored:
            width = self.form.widths[block.axis]
            if block.name == name:
                return self.parameters[parameter][at : at + width]
            at += width
        raise AssertionError(f"{parameter} has no {name}")
