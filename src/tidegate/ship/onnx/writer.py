"""``Writer``: collects the nodes and constants of one ONNX graph under readable names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from hashlib import sha256
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
FLOAT, INT32, BOOL = int(TensorProto.FLOAT), int(TensorProto.INT32), int(TensorProto.BOOL)
AXES_AS_INPUT = 18  # from this opset on ReduceMean takes its axes as an input


class Writer:
    """One graph: that of a model, or the body of a Scan.

    Args:
        opset: of the default domain.
        taken: names that nothing may get.

    Attributes:
        nodes: in the order of computation.
        held: the constants.
        scope: what names of new values begin with.
    """

    def __init__(self, opset: int, taken: Iterable[str] = ()) -> None:
        self.opset = opset
        self.nodes: list[Any] = []
        self.held: list[Any] = []
        self.scope = ""
        self._taken = set(taken)
        self._known: dict[tuple[Any, ...], str] = {}
        self._renamed = dict[str, str]()  # values that are outputs

    def inner(self) -> Writer:
        """A writer for the body of a node of this graph: no name of one is ever a name of the other."""
        body = Writer(self.opset)
        body._taken = self._taken
        return body

    def scoped(self, scope: str) -> Writer:
        """A writer of the same graph whose new names begin with this."""
        view = copy(self)
        view.scope = scope
        return view

    def name(self, wanted: str) -> str:
        """The name, with a number if it is taken."""
        name, count = f"{self.scope}{wanted}", 1
        while name in self._taken:
            count += 1
            name = f"{self.scope}{wanted}.{count}"
        self._taken.add(name)
        return name

    def hold(self, value: Array | Sequence[Any] | float, name: str = "constant") -> str:
        """The name of a constant: floats as float32, integers as int64. Small equal ones are held once."""
        array = np.asarray(value)
        if array.dtype != np.bool_:
            array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64, order="C")
        key = ("hold", array.dtype.str, array.shape, sha256(array.tobytes()).digest())
        if key not in self._known:
            self._known[key] = self.name(name)
            self.held.append(numpy_helper.from_array(array, self._known[key]))
        return self._known[key]

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """The value of a node with one output. Equal nodes are one."""
        key = (operator, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            self._known[key] = self.node(operator, inputs, [self.name(name or operator.lower())], **attributes)[0]
        return self._known[key]

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> list[str]:
        """A node with these outputs, whose names nobody else has."""
        given = list(inputs)
        while given and not given[-1]:
            given.pop()
        self.nodes.append(helper.make_node(operator, given, list(outputs), name=outputs[0], **attributes))
        return list(outputs)

    def split(self, value: str, widths: Sequence[int], names: Sequence[str], axis: int = -1) -> list[str]:
        """A value cut along an axis."""
        if len(widths) == 1:
            return [value]
        outputs = [self.name(name) for name in names]
        return self.node("Split", [value, self.hold(list(widths), "widths")], outputs, axis=axis)

    def joined(self, values: Sequence[str], name: str, axis: int = -1) -> str:
        """Values side by side."""
        return values[0] if len(values) == 1 else self.add("Concat", *values, name=name, axis=axis)

    def mean(self, value: str, name: str = "mean") -> str:
        """Of the last axis, which stays with the width 1."""
        if self.opset >= AXES_AS_INPUT:
            return self.add("ReduceMean", value, self.hold([-1], "last_axis"), name=name, keepdims=1)
        return self.add("ReduceMean", value, name=name, axes=[-1], keepdims=1)

    def squeezed(self, value: str, axis: int, name: str) -> str:
        """Without an axis of the width 1."""
        return self.add("Squeeze", value, self.hold([axis], f"axis{axis}"), name=name)

    def deepened(self, value: str, axis: int, name: str) -> str:
        """With a new axis of the width 1."""
        return self.add("Unsqueeze", value, self.hold([axis], f"axis{axis}"), name=name)

    def output(self, value: str, name: str) -> None:
        """Give a value the name of an output. One that has such a name already, or that no node makes, is copied."""
        value = self._renamed.get(value, value)
        made = {output for node in self.nodes for output in node.output}
        if value not in made or value in self._renamed.values():
            self.node("Identity", [value], [name])
            return
        self._renamed[value] = name
        for node in self.nodes:
            node.name = name if node.name == value else node.name
            for names in (node.input, node.output):
                names[:] = [name if one == value else one for one in names]

    def make_constants_nodes(self) -> None:
        """Turn the constants of this graph into nodes, for a graph that is to become a part of another."""
        made = [helper.make_node("Constant", [], [one.name], name=one.name, value=one) for one in self.held]
        self.nodes[:0] = made
        self.held.clear()

    def graph(
        self, name: str, inputs: Sequence[Any], outputs: Sequence[Any], defaults: Sequence[Any] = ()
    ) -> onnx.GraphProto:
        """All of it as a graph."""
        return helper.make_graph(self.nodes, name, inputs, outputs, [*defaults, *self.held])


def model_of(graph: onnx.GraphProto, opset: int, properties: Mapping[str, str]) -> onnx.ModelProto:
    """A model with metadata. Its format version is the oldest that has the opset, but at least 8."""
    opsets = [helper.make_opsetid("", opset)]
    version = max(8, helper.find_min_ir_version_for(opsets))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=version, producer_name="tidegate")
    helper.set_model_props(model, dict(properties))
    return model


def tensor(value: Array, name: str) -> Any:
    """An array under a name."""
    return numpy_helper.from_array(value, name)


def floats(name: str, shape: Sequence[int | str | None] | None) -> Any:
    """The declaration of a float32 input or output; of any shape for None."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def integers(name: str, shape: Sequence[int | str | None]) -> Any:
    """The declaration of an int64 input or output."""
    return helper.make_tensor_value_info(name, TensorProto.INT64, shape)


def booleans(name: str, shape: Sequence[int | str | None]) -> Any:
    """The declaration of a boolean input or output."""
    return helper.make_tensor_value_info(name, TensorProto.BOOL, shape)
