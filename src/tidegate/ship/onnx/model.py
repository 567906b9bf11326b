"""``onnx``: a layer as an ONNX model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.onnx.card import Card
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.lower import lower, lower_step
from tidegate.ship.onnx.weights import Weights
from tidegate.ship.onnx.writer import Writer, booleans, floats, integers, model_of, tensor

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 17
OPSETS = range(14, 27)  # GRU, LSTM and RNN have their present form since 14; onnxruntime 1.31 ends at 26
EVERY_STEP = -1  # the length of a sequence that has all steps


def onnx(
    layer: Recurrent,
    path: str | Path | None = None,
    *,
    step: bool = False,
    lengths: bool = True,
    reset: bool = False,
    optional: bool = True,
    native: bool = True,
    opset: int = OPSET,
) -> ModelProto:
    """..."""
    _check(layer, step=step, opset=opset)
    writing = _Writing(layer, reset=reset, optional=optional, native=native, opset=opset)
    made = writing.step() if step else writing.sequence(lengths=lengths)
    if path is not None:
        Path(path).write_bytes(made.SerializeToString())
    return made


def _check(layer: Any, *, step: bool, opset: int) -> None:
    """Refuse what cannot be written.

    Raises:
        InputError: with who can.
    """
    if not isinstance(layer, Recurrent):
        raise InputError(
            "SHIP_LAYER",
            f"expected a layer of tidegate.nn, got {type(layer).__name__}",
            fix="tidegate.accelerate makes torch's layers Tidegate's",
        )
    dtype = layer.layer_parameters(0)[0].dtype
    if dtype is not torch.float32:
        raise InputError(
            "SHIP_DTYPE",
            f"the layer has {dtype}, for which onnxruntime has no RNN, LSTM and GRU",
            fix="ship copy.deepcopy(layer).float(): the file holds float32",
        )
    if step and layer.bidirectional:
        raise InputError(
            "SHIP_STEP",
            "a layer in two directions needs the whole sequence before its first output, so it has no step",
            fix="leave step=False, or train a layer in one direction for streams",
        )
    if opset not in OPSETS:
        raise InputError(
            "SHIP_OPSET",
            f"opset is {opset!r:.20}, expected {OPSETS[0]} to {OPSETS[-1]}",
            fix=f"leave it at {OPSET}, which every runtime of the last years reads",
        )


class _Writing:
    """Writes the models of one layer."""

    def __init__(self, layer: Recurrent, *, reset: bool, optional: bool, native: bool, opset: int) -> None:
        self.layer, self.reset, self.optional, self.native = layer, reset, optional, native
        self.widths = [cell.state_widths for cell in layer.cells]
        ends = ["y", *(self._label("next", *place) for place in self._places())]
        self.writer = Writer(opset, ends)
        self.inputs: list[Any] = []
        self.defaults: list[Any] = []
        self.card = Card(layer)

    def sequence(self, *, lengths: bool) -> ModelProto:
        """The model of whole sequences."""
        writer, turn = self.writer, self.layer.batch_first
        axes = ["batch", "time"] if turn else ["time", "batch"]
        x = self._input(floats("x", [*axes, self.layer.input_size]))
        if turn:
            x = writer.add("Transpose", x, name="x.by_time", perm=[1, 0, 2])
        steps = writer.add("Shape", x, name="steps", start=0, end=1)
        batch = writer.add("Shape", x, name="batch", start=1, end=2)
        frame = Frame(writer, steps, batch, self._lengths(steps, batch) if lengths else "", self._resets(axes))
        first, results = self._first_states(), Results(x, (), zeroed=True)
        ends: list[First] = []
        for k in range(self.layer.num_layers):
            problem = self._problem(k)
            results, how = lower(frame, problem, results.output, first[k], as_node=self.native)
            self.card.lowerings.append(how)
            ends.append(results.last)
        y = results.output if results.zeroed or not lengths else self._zeroed(results.output, frame)
        if turn:
            y = writer.add("Transpose", y, name="y.by_batch", perm=[1, 0, 2])
        return self._model(y, axes, ends)

    def step(self) -> ModelProto:
        """The model of one step."""
        writer = self.writer
        x = self._input(floats("x", ["batch", self.layer.input_size]))
        frame = Frame(writer, writer.hold([1], "one"), writer.add("Shape", x, name="batch", start=0, end=1))
        column = writer.deepened(self._resets(["batch"]), 1, "reset.column") if self.reset else ""
        first, ends = self._first_states(), list[First]()
        for k in range(self.layer.num_layers):
            problem, states = self._problem(k), list(first[k][0])
            if self.reset:
                starts = [writer.hold(start, "start") for start in problem.after_reset(0)]
                states = [
                    writer.add("Where", column, start, state, name=f"{state}.now")
                    for start, state in zip(starts, states, strict=True)
                ]
            states, how = lower_step(frame, problem, x, states, as_node=self.native)
            self.card.lowerings.append(how)
            ends.append((tuple(states),))
            x = states[0]
        return self._model(x, ["batch"], ends)

    def _input(self, declared: Any, default: Any = None) -> str:
        """Declare an input, and what it is where it is not given."""
        self.inputs.append(declared)
        name = self.writer.name(declared.name)
        if default is not None and self.optional:
            self.defaults.append(tensor(default, name))
        return name

    def _lengths(self, steps: str, batch: str) -> str:
        """The lengths of all sequences. One beyond T is an error of the runtime."""
        writer, one = self.writer, self.writer.hold(1, "number1")
        dimension = "batch_or_1" if self.optional else "batch"
        given = self._input(integers("lengths", [dimension]), np.array([EVERY_STEP]))
        most = writer.add("Add", writer.squeezed(steps, 0, "steps.number"), one, name="steps.and_one")
        known = writer.add("Range", writer.hold(0, "number0"), most, one, name="known_lengths")
        checked = writer.add("Gather", known, given, name="lengths.checked")  # which gives T for -1
        return writer.add("Expand", checked, batch, name="lengths.of_all") if self.optional else checked

    def _resets(self, axes: Sequence[str]) -> str:
        if not self.reset:
            return ""
        given = self._input(booleans("reset", axes))
        batch_first = len(axes) == 2 and axes[0] == "batch"
        return self.writer.add("Transpose", given, name="reset.by_time", perm=[1, 0]) if batch_first else given

    def _first_states(self) -> list[First]:
        """The inputs for states, by layer, direction and state."""
        first: list[list[list[str]]] = [[[] for _ in self._directions] for _ in self.widths]
        dimension = "batch_or_1" if self.optional else "batch"
        for layer, direction, state in self._places():
            width = self.widths[layer][state]
            learned = self._learned(layer, direction)
            default = np.zeros((1, width), np.float32) if learned is None else learned[state][None].astype(np.float32)
            name = self._label("state", layer, direction, state)
            first[layer][direction].append(self._input(floats(name, [dimension, width]), default))
        return [tuple(map(tuple, of_layer)) for of_layer in first]

    @property
    def _directions(self) -> tuple[bool, ...]:
        return (False, True) if self.layer.bidirectional else (False,)

    def _places(self) -> list[tuple[int, int, int]]:
        """Layer, direction and state of every state."""
        return [
            (layer, direction, state)
            for layer in range(self.layer.num_layers)
            for direction in range(len(self._directions))
            for state in range(len(self.layer.graph.states))
        ]

    def _label(self, kind: str, layer: int, direction: int, state: int) -> str:
        return f"{kind}.{layer}.{self.layer.graph.states[state].name}{'.reverse' if direction else ''}"

    def _learned(self, layer: int, direction: int) -> tuple[Any, ...] | None:
        names = self.layer.options.first_states(self.layer.graph)
        if not names:
            return None
        return tuple(self._array(attribute(name, layer, reverse=bool(direction))) for name in names)

    def _array(self, name: str) -> Any:
        return getattr(self.layer, name).detach().cpu().double().numpy()

    def _problem(self, layer: int) -> Problem:
        cell = self.layer.cells[layer]
        weights = tuple(
            Weights(
                cell.graph,
                cell.widths,
                {name: self._array(attribute(name, layer, reverse=reverse)) for name in cell.parameters},
            )
            for reverse in self._directions
        )
        restart = tuple(self._learned(layer, direction) for direction in range(len(self._directions)))
        return Problem(f"layer{layer}/", cell.graph, weights, restart)

    def _zeroed(self, output: str, frame: Frame) -> str:
        """Zero after the end of each sequence."""
        writer = self.writer
        steps = writer.squeezed(frame.steps, 0, "steps.number")
        order = writer.add("Range", writer.hold(0, "number0"), steps, writer.hold(1, "number1"), name="order")
        lasts = writer.add("Less", writer.deepened(order, 1, "order.column"), frame.lengths, name="is_inside")
        zero = writer.hold(0.0, "zero_float")
        return writer.add("Where", writer.deepened(lasts, 2, "is_inside.column"), output, zero, name="output.zeroed")

    def _model(self, y: str, axes: Sequence[str], ends: Sequence[First]) -> ModelProto:
        outputs = [floats("y", [*axes, self.layer.output_size])]
        self.writer.node("Identity", [y], ["y"])
        for layer, direction, state in self._places():
            name = self._label("next", layer, direction, state)
            self.writer.node("Identity", [ends[layer][direction][state]], [name])
            outputs.append(floats(name, ["batch", self.widths[layer][state]]))
        graph = self.writer.graph(self.layer.graph.name, self.inputs, outputs, self.defaults)
        return model_of(graph, self.writer.opset, self.card.properties())
