"""The graphs of a layer: for sequences, and for one step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.cell.parameter import attribute
from tidegate.nn import Recurrent
from tidegate.ship.onnx.card import places_of, properties
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.lower import lower, lower_step
from tidegate.ship.onnx.weights import Weights
from tidegate.ship.onnx.writer import Writer, booleans, floats, integers, model_of, tensor

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

EVERY_STEP = -1  # the length of a sequence that has all steps


class Writing:
    """Writes the models of one layer.

    Args:
        layer: the layer.
        reset: the model takes resets.
        optional: lengths and states need not be given.
        native: use the nodes of ONNX where they fit.
        opset: of the default domain.
    """

    def __init__(self, layer: Recurrent, *, reset: bool, optional: bool, native: bool, opset: int) -> None:
        self.layer, self.reset, self.optional, self.native = layer, reset, optional, native
        self.places = places_of(layer)
        self.directions = (False, True) if layer.bidirectional else (False,)
        self.writer = Writer(opset, ["y", *(place.label("next") for place in self.places)])
        self.inputs: list[Any] = []
        self.defaults: list[Any] = []
        self.lowerings: list[str] = []

    def sequence(self, *, lengths: bool) -> GraphProto:
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
            self.lowerings.append(how)
            ends.append(results.last)
        y = results.output if results.zeroed or not lengths else self._zeroed(results.output, frame)
        if turn:
            y = writer.add("Transpose", y, name="y.by_batch", perm=[1, 0, 2])
        return self._graph(y, axes, ends)

    def model(self, *, step: bool, lengths: bool) -> ModelProto:
        """The model, with its metadata."""
        graph = self.step() if step else self.sequence(lengths=lengths)
        told = properties(self.layer, self.lowerings, step=step, lengths=lengths and not step, reset=self.reset)
        return model_of(graph, self.writer.opset, told)

    def step(self) -> GraphProto:
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
            self.lowerings.append(how)
            ends.append((tuple(states),))
            x = states[0]
        return self._graph(x, ["batch"], ends)

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
        first: list[list[list[str]]] = [[[] for _ in self.directions] for _ in self.layer.cells]
        dimension = "batch_or_1" if self.optional else "batch"
        for place in self.places:
            learned = self._learned(place.layer, place.direction)
            default = np.zeros(place.width) if learned is None else learned[place.state]
            declared = floats(place.label("state"), [dimension, place.width])
            first[place.layer][place.direction].append(self._input(declared, default[None].astype(np.float32)))
        return [tuple(map(tuple, of_layer)) for of_layer in first]

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
            for reverse in self.directions
        )
        restart = tuple(self._learned(layer, direction) for direction in range(len(self.directions)))
        return Problem(f"layer{layer}/", cell.graph, weights, restart)

    def _zeroed(self, output: str, frame: Frame) -> str:
        """Zero after the end of each sequence."""
        writer = self.writer
        steps = writer.squeezed(frame.steps, 0, "steps.number")
        order = writer.add("Range", writer.hold(0, "number0"), steps, writer.hold(1, "number1"), name="order")
        lasts = writer.add("Less", writer.deepened(order, 1, "order.column"), frame.lengths, name="is_inside")
        zero = writer.hold(0.0, "zero_float")
        return writer.add("Where", writer.deepened(lasts, 2, "is_inside.column"), output, zero, name="output.zeroed")

    def _graph(self, y: str, axes: Sequence[str], ends: Sequence[First]) -> GraphProto:
        outputs = [floats("y", [*axes, self.layer.output_size])]
        self.writer.node("Identity", [y], ["y"])
        for place in self.places:
            name = place.label("next")
            self.writer.node("Identity", [ends[place.layer][place.direction][place.state]], [name])
            outputs.append(floats(name, ["batch", place.width]))
        return self.writer.graph(self.layer.graph.name, self.inputs, outputs, self.defaults)
