"""A flow as ONNX models: of whole sequences, and of one step."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate._version import __version__
from tidegate.ship.flow import Flow, Input, Node, State
from tidegate.ship.onnx.asked import Asked
from tidegate.ship.onnx.card import promised
from tidegate.ship.onnx.flow_operation import OPERATIONS, POINTWISE, Place
from tidegate.ship.onnx.interface import Interface
from tidegate.ship.onnx.layer import First, Frame
from tidegate.ship.onnx.memory import SEQUENCES, STEPS, Memory
from tidegate.ship.onnx.selftest import KEY, written
from tidegate.ship.onnx.stack import lower_stack, lower_stack_step
from tidegate.ship.onnx.writer import Array, Writer, floats, integers, model_of

if TYPE_CHECKING:
    from onnx import ModelProto

LENGTHS = (4, 2)  # of the sequences of a self-test


class FlowWriting:
    """Writes a model of a flow.

    Args:
        flow: the flow.
        asked: how it is written.
    """

    def __init__(self, flow: Flow, asked: Asked) -> None:
        self.flow, self.asked = flow, asked
        self.outputs = output_names(flow)
        self.writer = Writer(asked.opset, [*self.outputs.values(), *(f"next.{state.name}" for state in flow.states)])
        self.interface = Interface(self.writer, optional=asked.optional)
        self.axes = ["batch"] if asked.step else ["time", "batch"]
        self.values: dict[str, str] = {}
        self.fixed = set[str]()  # values that are [width], the same at every step
        self.states: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.lowerings: list[str] = []
        self.resets = ""

    def model(self) -> ModelProto:
        """The model, with its metadata."""
        given = {one.name: self._input(one) for one in self.flow.inputs}
        x = given[self.flow.inputs[0].name]
        self.frame = self._frame(x)
        self.values = {one.name: self._guarded(one, given[one.name]) for one in self.flow.inputs}
        self.states = {state.name: self._state(state) for state in self.flow.states}
        for node in self.flow.nodes:
            self.values[node.name] = self._node(node)
        graph = self.writer.graph(self.flow.name, self.interface.inputs, self._outputs(), self.interface.defaults)
        return model_of(graph, self.writer.opset, self._properties())

    def _input(self, one: Input) -> str:
        declare = integers if one.kind.dtype == "int" else floats
        return self.interface.input(declare(one.name, [*self.axes, one.kind.width]))

    def _frame(self, x: str) -> Frame:
        if self.asked.step:
            self.resets = self.interface.resets(["batch"]) if self.asked.reset else ""
            return self.interface.frame_of_a_step(x)
        return self.interface.frame(x, lengths=self.asked.takes_lengths, reset=self.axes if self.asked.reset else ())

    def _guarded(self, one: Input, value: str) -> str:
        """Symbols behind the end of a sequence are 0; other strange ones are an error of the runtime."""
        if one.kind.dtype != "int":
            return value
        zero, beyond = self.writer.hold(0, "number0"), self.writer.hold(one.limit, f"{one.name}.limit")
        if self.asked.takes_lengths:
            value = self.writer.add("Where", self.frame.inside, value, zero, name=f"{one.name}.inside")
        negative = self.writer.add("Less", value, zero, name=f"{one.name}.is_negative")
        return self.writer.add("Where", negative, beyond, value, name=f"{one.name}.checked")

    def _state(self, state: State) -> str:
        """The input of a state, for all sequences; in a step after a reset the first value."""
        default, writer = state.first[None].astype(np.float32), self.writer
        declared = floats(f"state.{state.name}", [self.interface.rows, *state.first.shape])
        given = self.interface.input(declared, default)
        if self.resets:
            condition = self.resets
            for _ in state.first.shape:
                condition = writer.deepened(condition, -1, f"{condition}.deep")
            given = writer.add(
                "Where", condition, writer.hold(default, f"{state.name}.first"), given, name=f"{given}.now"
            )
        shape = writer.joined([self.frame.batch, writer.hold(list(state.first.shape), "shape")], "shape", axis=0)
        return writer.add("Expand", given, shape, name=f"{state.name}.given")

    def _node(self, node: Node) -> str:
        if node.op == "constant":
            self.fixed.add(node.name)
            return self.writer.hold(node.parameters["value"], node.name)
        everywhere = all(name in self.fixed for name in node.args)
        if everywhere and node.op in POINTWISE:
            self.fixed.add(node.name)
        plain = node.op in POINTWISE
        args = [self.values[name] if plain else self._full(name) for name in node.args]
        kinds = [self.flow.kinds[name] for name in node.args]
        if node.op == "recurrent":
            return self._recurrent(node, *args)
        if node.op in SEQUENCES:
            own = {state.part: self.states[state.name] for state in self.flow.states if state.node == node.name}
            memory = Memory(self.frame, node, kinds[0].width, args[0], own)
            value, after = (STEPS if self.asked.step else SEQUENCES)[node.op](memory)
            self.after |= {f"{node.name}_{part}": end for part, end in after.items()}
            return value
        return OPERATIONS[node.op](Place(self.writer, len(self.axes), node, kinds), *args)

    def _full(self, name: str) -> str:
        """A value at every step: constants are laid out."""
        if name not in self.fixed:
            return self.values[name]
        ahead = [] if self.asked.step else [self.frame.steps]
        width = self.writer.hold([self.flow.kinds[name].width], "width")
        shape = self.writer.joined([*ahead, self.frame.batch, width], "shape", axis=0)
        return self.writer.add("Expand", self.values[name], shape, name=f"{name}.at_every_step")

    def _recurrent(self, node: Node, x: str, *given: str) -> str:
        layer, prefix = node.recurrent, f"{node.name}/"
        names = [value.name for value in layer.graph.given]
        frame = replace(self.frame, given=dict(zip(names, given, strict=True)))
        states = [state for state in self.flow.states if state.node == node.name]
        directions = 1 + layer.bidirectional
        each = [self._apart(state) for state in states]  # of each state, of each layer and direction
        first: list[First] = [
            tuple(tuple(own[k * directions + d] for own in each) for d in range(directions))
            for k in range(layer.num_layers)
        ]
        if self.asked.step:
            y, ends, how = lower_stack_step(frame, layer, prefix, x, first, reset="", as_node=self.asked.native)
        else:
            results, ends, how = lower_stack(frame, layer, prefix, x, first, as_node=self.asked.native)
            y = results.output
        self.lowerings += [f"{node.name}: {one}" for one in how]
        for k, state in enumerate(states):
            parts = [self.writer.deepened(of_direction[k], 1, "run") for of_layer in ends for of_direction in of_layer]
            self.after[state.name] = self.writer.joined(parts, f"{state.name}.last", axis=1)
        return y

    def _apart(self, state: State) -> list[str]:
        runs = len(state.first)
        names = [f"{state.name}.{k}" for k in range(runs)]
        parts = self.writer.split(self.states[state.name], [1] * runs, names, axis=1)
        return [self.writer.squeezed(part, 1, f"{state.name}.of_layer") for part in parts]

    def _outputs(self) -> list[Any]:
        declared = []
        for output in self.flow.outputs:
            kind, value = self.flow.kinds[output.node], self._full(output.node)
            axes = ["batch"] if output.last else self.axes
            if not self.asked.step:
                value = self._at_last(value) if output.last else self._ended(value, kind.dtype)
            name = self.outputs[output.name]
            self.writer.output(value, name)
            declared.append((integers if kind.dtype == "int" else floats)(name, [*axes, kind.width]))
        for state in self.flow.states:
            self.writer.output(self.after[state.name], f"next.{state.name}")
            declared.append(floats(f"next.{state.name}", ["batch", *state.first.shape]))
        return declared

    def _ended(self, value: str, dtype: str) -> str:
        zero = self.writer.hold(0 if dtype == "int" else 0.0, "nothing")
        return (
            self.writer.add("Where", self.frame.inside, value, zero, name="ended")
            if self.asked.takes_lengths
            else value
        )

    def _at_last(self, value: str) -> str:
        """The value at the last step of each sequence: zeros in front, and as many rows on as it has steps."""
        writer, frame = self.writer, self.frame
        shape = writer.joined(
            [frame.one, writer.add("Shape", value, name="value.shape", start=1, end=3)], "row", axis=0
        )
        before = writer.add("Expand", writer.hold(0.0, "zero_float"), shape, name="before")
        whole = writer.joined([before, value], "value.all", axis=0)
        memory = Memory(frame, self.flow.nodes[0], 1, value, {})
        return writer.squeezed(memory.at_ends(whole, 1), 1, "value.last")

    def _properties(self) -> dict[str, str]:
        flow = self.flow
        inputs = [{"name": one.name, "says": one.says, "unit": one.unit, "limit": one.limit} for one in flow.inputs]
        outputs = [
            {
                "name": self.outputs[one.name],
                "says": one.says,
                "unit": one.unit,
                "last": one.last,
                "labels": list(one.labels),
            }
            for one in flow.outputs
        ]
        states = [
            {"input": f"state.{s.name}", "output": f"next.{s.name}", "shape": list(s.first.shape)} for s in flow.states
        ]
        return {
            "tidegate.version": __version__,
            "tidegate.flow": str(flow),
            "tidegate.kind": "step" if self.asked.step else "sequence",
            "tidegate.inputs": json.dumps(inputs),
            "tidegate.outputs": json.dumps(outputs),
            "tidegate.states": json.dumps(states),
            "tidegate.again": json.dumps({one: self.outputs.get(str(by), by) for one, by in flow.again.items()}),
            "tidegate.facts": json.dumps(dict(flow.facts)),
            "tidegate.lowering": json.dumps(self.lowerings),
            **promised(node.recurrent for node in flow.recurrent),
            KEY: self._test(),
        }

    def _test(self) -> str:
        """Drawn inputs, from the first states on, and what the flow answers in float64."""
        rng = np.random.default_rng(0)
        steps, size = (1, 2) if self.asked.step else (LENGTHS[0], len(LENGTHS))
        inputs = {one.name: _drawn(one, rng, steps, size) for one in self.flow.inputs}
        states = {state.name: np.repeat(state.first[None], size, 0).astype(np.float32) for state in self.flow.states}
        answer = self.flow.run(inputs, LENGTHS if self.asked.takes_lengths else None, states)
        given: dict[str, Any] = {name: value[0] if self.asked.step else value for name, value in inputs.items()}
        given |= {f"state.{name}": value for name, value in states.items()}
        if self.asked.takes_lengths:
            given["lengths"] = np.array(LENGTHS)
        if self.asked.reset:
            given["reset"] = np.zeros(size if self.asked.step else (steps, size), bool)
        last = {output.name for output in self.flow.outputs if output.last}
        outputs = {
            self.outputs[name]: _single(value[0] if self.asked.step and name not in last else value)
            for name, value in answer.outputs.items()
        }
        outputs |= {f"next.{name}": _single(value) for name, value in answer.states.items()}
        return written(given, outputs)


def output_names(flow: Flow) -> dict[str, str]:
    """What the outputs of a flow are called: ``next.NAME`` where an input has the name already."""
    given = {one.name for one in flow.inputs}
    return {one.name: f"next.{one.name}" if one.name in given else one.name for one in flow.outputs}


def _drawn(one: Input, rng: np.random.Generator, steps: int, size: int) -> Array:
    shape = (steps, size, one.kind.width)
    return rng.integers(0, one.limit, shape) if one.limit else rng.standard_normal(shape, np.float32)


def _single(value: Array) -> Array:
    return value if value.dtype.kind == "i" else value.astype(np.float32)
