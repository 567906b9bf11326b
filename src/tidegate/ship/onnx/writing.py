"""The graphs of a layer: for sequences, and for one step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tidegate.cell.graph import ONE, all_widths
from tidegate.nn import Recurrent
from tidegate.ship.onnx.asked import Asked
from tidegate.ship.onnx.card import places_of, properties
from tidegate.ship.onnx.interface import Interface
from tidegate.ship.onnx.layer import First
from tidegate.ship.onnx.stack import first_values, lower_stack, lower_stack_step
from tidegate.ship.onnx.writer import Writer, floats, model_of

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


class Writing:
    """Writes the models of one layer.

    Args:
        layer: the layer.
        asked: how it is written.
    """

    def __init__(self, layer: Recurrent, asked: Asked) -> None:
        self.layer, self.asked = layer, asked
        self.places = places_of(layer)
        self.writer = Writer(asked.opset, ["y", *(place.label("next") for place in self.places)])
        self.interface = Interface(self.writer, optional=asked.optional)
        self.lowerings: list[str] = []

    def sequence(self) -> GraphProto:
        """The model of whole sequences."""
        writer, turn = self.writer, self.layer.batch_first
        axes = ["batch", "time"] if turn else ["time", "batch"]
        x = self.interface.input(floats("x", [*axes, self.layer.input_size]))
        if turn:
            x = writer.add("Transpose", x, name="x.by_time", perm=[1, 0, 2])
        frame = self.interface.frame(x, lengths=self.asked.takes_lengths, reset=axes if self.asked.reset else ())
        frame = replace(frame, given=self._given(axes))
        first, native = self._first_states(), self.asked.native
        results, ends, self.lowerings = lower_stack(frame, self.layer, "", x, first, as_node=native)
        y = results.output if results.zeroed or not self.asked.takes_lengths else frame.zeroed(results.output)
        if turn:
            y = writer.add("Transpose", y, name="y.by_batch", perm=[1, 0, 2])
        return self._graph(y, axes, ends)

    def model(self) -> ModelProto:
        """The model, with its metadata."""
        graph = self.step() if self.asked.step else self.sequence()
        told = properties(self.layer, self.lowerings, self.asked)
        return model_of(graph, self.writer.opset, told)

    def step(self) -> GraphProto:
        """The model of one step."""
        x = self.interface.input(floats("x", ["batch", self.layer.input_size]))
        frame = replace(self.interface.frame_of_a_step(x), given=self._given(["batch"]))
        reset = self.interface.resets(["batch"]) if self.asked.reset else ""
        y, ends, self.lowerings = lower_stack_step(
            frame, self.layer, "", x, self._first_states(), reset=reset, as_node=self.asked.native
        )
        return self._graph(y, ["batch"], ends)

    def _given(self, axes: Sequence[str]) -> dict[str, str]:
        """The inputs beside x, by time: one number a row without an axis of its own."""
        writer, found, widths = self.writer, dict[str, str](), all_widths(self.layer.cells[0].widths)
        for value in self.layer.graph.given:
            width = [] if value.axis == ONE else [widths[value.axis]]
            given = self.interface.input(floats(f"given.{value.name}", [*axes, *width]))
            given = given if width else writer.deepened(given, len(axes), f"{given}.column")
            turned = len(axes) > 1 and self.layer.batch_first
            name = f"{given}.by_time"
            found[value.name] = writer.add("Transpose", given, name=name, perm=[1, 0, 2]) if turned else given
        return found

    def _first_states(self) -> list[First]:
        """The inputs for states, by layer, direction and state."""
        first: list[list[list[str]]] = [[[] for _ in range(1 + self.layer.bidirectional)] for _ in self.layer.cells]
        for place in self.places:
            default = first_values(self.layer, place.layer, place.direction)[place.state][None].astype(np.float32)
            declared = floats(place.label("state"), [self.interface.rows, place.width])
            first[place.layer][place.direction].append(self.interface.input(declared, default))
        return [tuple(map(tuple, of_layer)) for of_layer in first]

    def _graph(self, y: str, axes: Sequence[str], ends: Sequence[First]) -> GraphProto:
        outputs = [floats("y", [*axes, self.layer.output_size])]
        self.writer.output(y, "y")
        for place in self.places:
            name = place.label("next")
            self.writer.output(ends[place.layer][place.direction][place.state], name)
            outputs.append(floats(name, ["batch", place.width]))
        return self.writer.graph(self.layer.graph.name, self.interface.inputs, outputs, self.interface.defaults)
