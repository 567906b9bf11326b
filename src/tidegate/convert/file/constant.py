"""Values of an ONNX graph that depend on none of its inputs: tensors that it holds, and what is computed of them.

Nodes run in the package's reference evaluator, one by one, and only those of ``SAFE``: they neither draw numbers nor
open files, and how much they give is known before they run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.layout import Array
from tidegate.errors import InputError, explain_missing, visible

DEEPEST = 100  # nodes between a weight and the tensors that it is computed of
Given = Sequence[Array]


def _sum(given: Given) -> int:
    return sum(value.size for value in given)


def _broadcast(given: Given) -> int:
    return math.prod(np.broadcast_shapes(*(value.shape for value in given)))


def _picked(given: Given) -> int:
    data, indices = given
    return indices.size * (data.size // max(1, min(data.shape, default=1)))


def _filled(given: Given) -> int:
    return math.prod(map(int, given[0].ravel()))


def _expanded(given: Given) -> int:
    return math.prod(np.broadcast_shapes(given[0].shape, tuple(map(int, given[1].ravel()))))


SAFE: Mapping[str, Callable[[Given], int]] = {  # the most numbers that a node can give, from what it is given
    **dict.fromkeys(("Identity", "Cast", "Concat", "Split", "Neg"), _sum),
    **dict.fromkeys(("Unsqueeze", "Squeeze", "Reshape", "Flatten", "Transpose", "Slice"), _sum),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "DequantizeLinear"), _broadcast),
    "Gather": _picked,
    "ConstantOfShape": _filled,
    "Expand": _expanded,
}
# Zeros of whatever shape remain zeros: so states are recognised that begin with zeros for as many sequences as come.
KEEPS_ZERO = ("Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Slice", "Expand", "Split")
LEAST_OPSET = {"DequantizeLinear": 19}  # what the evaluator runs; before that it meant the same
FAILURES = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError, OverflowError, MemoryError)


class Model:
    """A model as data: its tensors, and the nodes between them.

    Args:
        path: the file; of other files it may name only those in its folder.

    Attributes:
        proto: the ``onnx.ModelProto``.
        bytes: of the tensors that were read, and of all else in the file.

    Raises:
        InputError: it is no ONNX model.
        MissingError: the package onnx is not installed.
    """

    def __init__(self, path: Path) -> None:
        with explain_missing():
            import onnx  # optional, and only its files need it
            import onnx.reference
        self.onnx = onnx
        self.folder = path.resolve().parent
        try:
            self.proto = onnx.ModelProto.FromString(path.read_bytes())
        except Exception as error:  # protobuf's own, which only protobuf has a name for
            raise refused(f"{path.name} is no ONNX model: {error}") from error
        self.bytes = self.proto.ByteSize()

    def array(self, tensor: Any) -> Array:
        """What a tensor holds.

        Raises:
            InputError: it holds no numbers, fewer than its shape says, or lies outside the model's folder.
        """
        name, kinds = tensor.name or "a tensor", self.onnx.TensorProto
        if any(size < 0 for size in tensor.dims):
            raise refused(f"{name} is of shape {[*tensor.dims]}")
        if tensor.data_type in (kinds.STRING, kinds.UNDEFINED):
            raise refused(f"{name} holds no numbers")
        if tensor.data_location == kinds.EXTERNAL:
            tensor = self._fetched(tensor)
        try:
            return np.asarray(self.onnx.numpy_helper.to_array(tensor))
        except FAILURES as error:
            raise refused(f"{name} is not of shape {[*tensor.dims]}: {error}") from error

    def constant(self, node: Any) -> Array:
        """What a ``Constant`` gives."""
        (attribute,) = node.attribute if len(node.attribute) == 1 else [None]
        if attribute is None or not attribute.name.startswith("value"):
            raise refused(f"the Constant that gives {_first(node.output)} holds no dense value")
        return self.array(attribute.t) if attribute.name == "value" else self.evaluate(node, [])[0]

    def evaluate(self, node: Any, given: Given) -> list[Array]:
        """Run one node in the reference evaluator.

        Raises:
            InputError: it cannot be run.
        """
        helper = self.onnx.helper
        names = [name for name in node.input if name]
        inputs = [helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(names)]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output]
        try:
            graph = helper.make_graph([node], "one", inputs, outputs)
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset(node.op_type))])
            found = self.onnx.reference.ReferenceEvaluator(model).run(None, dict(zip(names, given, strict=True)))
            return [np.asarray(value) for value in found]
        except (*FAILURES, NotImplementedError) as error:
            raise refused(f"{node.op_type} that gives {_first(node.output)} cannot run: {error}") from error

    def _opset(self, operator: str) -> int:
        said = [int(entry.version) for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx")]
        return max(LEAST_OPSET.get(operator, 1), *said)

    def attributes(self, node: Any) -> dict[str, Any]:
        """Those of a node, names as text.

        Raises:
            InputError: one is damaged.
        """
        try:
            values = {one.name: self.onnx.helper.get_attribute_value(one) for one in node.attribute}
            return {name: _text(value) for name, value in values.items()}
        except (ValueError, UnicodeDecodeError) as error:
            raise refused(f"an attribute of {node.name or node.op_type} is damaged: {error}") from error

    def _fetched(self, tensor: Any) -> Any:
        """A tensor with what another file holds of it."""
        said = {entry.key: entry.value for entry in tensor.external_data}
        location, begin = said.get("location", ""), said.get("offset", "0")
        path = (self.folder / location).resolve()
        if not path.is_relative_to(self.folder) or not path.is_file():
            raise refused(
                f"{tensor.name} lies in {location!r}, which is no file in the model's folder",
                fix="put its data beside the model",
            )
        size = said.get("length") or str(path.stat().st_size)
        if not (begin.isascii() and begin.isdecimal() and size.isascii() and size.isdecimal()):
            raise refused(f"{tensor.name} lies at {begin!r}, of {size!r} bytes")
        if int(begin) + int(size) > path.stat().st_size and said.get("length"):
            raise refused(f"{tensor.name} reaches beyond the end of {location!r}")
        with path.open("rb") as file:
            file.seek(int(begin))
            content = file.read(int(size))
        self.bytes += len(content)
        whole = self.onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        whole.raw_data = content
        return whole


class Scope:
    """The tensors that a graph and those around it name.

    Args:
        graph: an ``onnx.GraphProto``.
        model: the file that it stands in.
        outer: the graph around it.
    """

    def __init__(self, graph: Any, model: Model, outer: Scope | None = None) -> None:
        self.graph, self.model, self.outer = graph, model, outer
        self.sources: dict[str, Any] = {given.name: None for given in graph.input}
        self.sources |= {name: node for node in graph.node for name in node.output if name}
        self.sources |= {tensor.name: tensor for tensor in graph.initializer}
        self.values: dict[str, Array] = {}

    def home(self, name: str) -> Scope:
        """The innermost graph that has the tensor.

        Raises:
            InputError: none has it.
        """
        scope: Scope | None = self
        while scope is not None and name not in scope.sources:
            scope = scope.outer
        if scope is None:
            raise refused(f"no dense tensor of the model is called {name}")
        return scope

    def value(self, name: str, depth: int = 0) -> Array:
        """The constant of that name.

        Raises:
            InputError: it depends on an input of the model, or is computed by a node that is not ``SAFE``.
        """
        scope = self.home(name)
        if name not in scope.values:
            source = scope.sources[name]
            if source is None:
                raise refused(f"{name} is an input of its graph", fix="only constants can be read")
            if depth > DEEPEST:
                raise refused(f"{name} is computed of itself, or by a chain of over {DEEPEST} nodes")
            made = scope.computed(source, depth) if hasattr(source, "op_type") else {name: self.model.array(source)}
            scope.values |= made
        return scope.values[name]

    def is_zero(self, name: str, depth: int = 0) -> bool:
        """Whether a tensor is zeros, of a shape that may depend on the inputs."""
        scope = self.home(name)
        node = scope.sources[name]
        if node is None or depth > DEEPEST:
            return False
        if not hasattr(node, "op_type"):
            return not np.any(self.model.array(node))
        if node.op_type == "ConstantOfShape":
            return not any(np.any(self.model.array(attribute.t)) for attribute in node.attribute)
        return node.op_type in KEEPS_ZERO and bool(node.input) and scope.is_zero(node.input[0], depth + 1)

    def computed(self, node: Any, depth: int) -> dict[str, Array]:
        """What a node gives, by name."""
        if node.op_type == "Constant":
            return {_first(node.output): self.model.constant(node)}
        if node.op_type not in SAFE or node.domain not in ("", "ai.onnx"):
            raise refused(
                f"{_first(node.output)} is computed by {node.op_type}",
                fix=f"fold the constants of the model first; {', '.join(SAFE)} are folded here",
            )
        given = [self.value(name, depth + 1) for name in node.input if name]
        try:
            size = SAFE[node.op_type](given)
        except (ValueError, IndexError) as error:
            raise refused(f"{node.op_type} that gives {_first(node.output)} cannot run: {error}") from error
        if not 0 <= size <= 2 * self.model.bytes:  # as many of four bits as there is room for
            raise refused(f"{node.op_type} would make {size} numbers of {self.model.bytes} bytes")
        return dict(zip(node.output, self.model.evaluate(node, given), strict=True))


def refused(what: str, fix: str = "the file is damaged, or of a kind that is not read here") -> InputError:
    return InputError("READ_ONNX", visible(what).partition("\\n")[0], fix=fix)


def _first(names: Sequence[str]) -> str:
    return names[0] if names else "nothing"


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [part.decode() if isinstance(part, bytes) else part for part in value] if isinstance(value, list) else value
