"""What each operation of a flow is in ONNX: a table with the keys of ``flow.OPS``, but for what remembers.

Series are [T, B, width], values of a step [B, width], and constants [width] in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.ship.flow import Kind, Node
from tidegate.ship.onnx.writer import FLOAT, Writer


@dataclass(frozen=True)
class Place:
    """Where an operation is written.

    Attributes:
        writer: of the graph.
        axes: how many axes values have in front of their width: 2, or 1 in a model of a step.
        node: the node of the flow.
        kinds: of its arguments.
    """

    writer: Writer
    axes: int
    node: Node
    kinds: Sequence[Kind]

    def add(self, operator: str, *inputs: str, **attributes: object) -> str:
        """A node named after the flow's."""
        return self.writer.add(operator, *inputs, name=self.node.name, **attributes)

    def hold(self, name: str) -> str:
        """A parameter of the node."""
        return self.writer.hold(self.node.parameters[name], f"{self.node.name}.{name}")

    def in_blocks(self, value: str, blocks: int, width: int) -> str:
        """A value as [..., blocks, width of a block]."""
        return self._shaped(value, [blocks, width])

    def side_by_side(self, value: str, width: int) -> str:
        """A value [..., blocks, width of a block] as [..., width]."""
        return self._shaped(value, [width])

    def _shaped(self, value: str, ends: list[int]) -> str:
        shape = self.writer.hold([*[0] * self.axes, *ends], "shape")  # 0 keeps an axis
        return self.add("Reshape", value, shape)


Rule = Callable[..., str]


def _plain(operator: str, **attributes: object) -> Rule:
    return lambda place, *args: place.add(operator, *args, **attributes)


def _take(place: Place, x: str) -> str:
    return place.add("Gather", x, place.writer.hold(list(place.node.attributes["indices"]), "indices"), axis=-1)


def _embed(place: Place, x: str) -> str:
    """A sum of rows; a symbol that the table lacks is an error of the runtime."""
    rows = place.add("Gather", place.hold("table"), x, axis=0)
    axis = place.writer.hold([place.axes], "axis")  # onnxruntime misreads a negative one where there is no step
    if place.kinds[0].width == 1:
        return place.add("Squeeze", rows, axis)
    return place.add("ReduceSum", rows, axis, keepdims=0)


def _linear(place: Place, x: str) -> str:
    node, blocks = place.node, place.node.attributes.get("blocks", 1)
    rows, columns = node.parameters["weight"].shape
    value = place.in_blocks(x, blocks, columns) if blocks > 1 else x
    weight = place.writer.hold(node.parameters["weight"].T, f"{node.name}.weight")
    value = place.add("MatMul", value, weight)
    if "bias" in node.parameters:
        value = place.add("Add", value, place.hold("bias"))
    return place.side_by_side(value, rows * blocks) if blocks > 1 else value


def _wave(place: Place, x: str) -> str:
    """sin(2 pi x), of the part of x that is left of its turns."""
    left = place.add("Sub", x, place.add("Round", x))
    return place.add("Sin", place.add("Mul", left, place.writer.hold(2 * math.pi, "turn")))


def _by_blocks(write: Callable[[Place, str, int], str]) -> Rule:
    def rule(place: Place, x: str) -> str:
        blocks, width = place.node.attributes.get("blocks", 1), place.kinds[0].width
        if blocks == 1:
            return write(place, x, width)
        return place.side_by_side(write(place, place.in_blocks(x, blocks, width // blocks), width // blocks), width)

    return rule


def _softmax(place: Place, x: str, width: int) -> str:
    del width
    return place.add("Softmax", x, axis=-1)


def _sort(place: Place, x: str, width: int) -> str:
    names = [place.writer.name(place.node.name), place.writer.name(f"{place.node.name}.places")]
    count = place.writer.hold([width], "count")
    return place.writer.node("TopK", [x, count], names, axis=-1, largest=0, sorted=1)[0]


OPERATIONS: Mapping[str, Rule] = {
    "take": _take,
    "concat": _plain("Concat", axis=-1),
    "embed": _embed,
    "number": _plain("Cast", to=FLOAT),
    "linear": _linear,
    "add": _plain("Add"),
    "sub": _plain("Sub"),
    "mul": _plain("Mul"),
    "div": _plain("Div"),
    "minimum": _plain("Min"),
    "maximum": _plain("Max"),
    "tanh": _plain("Tanh"),
    "sigmoid": _plain("Sigmoid"),
    "relu": _plain("Relu"),
    "exp": _plain("Exp"),
    "log": _plain("Log"),
    "wave": _wave,
    "softmax": _by_blocks(_softmax),
    "sort": _by_blocks(_sort),
}
POINTWISE = frozenset(
    {"add", "sub", "mul", "div", "minimum", "maximum", "tanh", "sigmoid", "relu", "exp", "log", "wave"}
)
