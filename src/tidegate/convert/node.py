"""ONNX: recurrent nodes with their weights, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidegate.convert.container import Passes, check_settings, one_per_layer
from tidegate.convert.layout import Array, Arrays, Layout
from tidegate.convert.own import as_array
from tidegate.errors import InputError, explain_missing

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")  # of LSTM; RNN and GRU end before
WEIGHTS = ("W", "R", "B", "P")
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "RNN": {"activations": ("Tanh",)},
    "LSTM": {"activations": ("Sigmoid", "Tanh", "Tanh"), "input_forget": 0},
    "GRU": {"activations": ("Sigmoid", "Tanh"), "linear_before_reset": 0},
}
DIRECTIONS = ("forward", "bidirectional")  # by number of directions


@dataclass(frozen=True)
class OnnxNode:
    """One RNN, LSTM or GRU of ONNX.

    Attributes:
        kind: its operator.
        attributes: as ``onnx.helper.make_node`` takes them.
        weights: W, R, B and P, those that it has, each with the axis of directions first.

    Example:
        >>> import tidegate as tg
        >>> (node,) = tg.convert.dump(tg.nn.GRU(3, 4), "onnx")
        >>> node.kind, node.attributes["linear_before_reset"], node.weights["W"].shape
        ('GRU', 1, (1, 12, 3))
    """

    kind: str
    attributes: Mapping[str, Any]
    weights: Mapping[str, Array]

    @staticmethod
    def read(proto: Any, initializers: Iterable[Any]) -> OnnxNode:
        """A node of a model, for models of which only some nodes are wanted.

        Args:
            proto: the ``onnx.NodeProto``.
            initializers: the ``onnx.TensorProto`` of the weights, e.g. ``model.graph.initializer``.

        Raises:
            MissingError: the package onnx is not installed.
            InputError: a weight is computed or passed in instead of held.
        """
        with explain_missing():
            from onnx import helper, numpy_helper  # optional, and only models need it
        held = {tensor.name: tensor for tensor in initializers}
        named = {name: given for name, given in zip(INPUTS, proto.input, strict=False) if given and name in WEIGHTS}
        if missing := sorted(set(named.values()) - held.keys()):
            raise InputError(
                "CONVERT_INPUT",
                f"weights of {proto.name or proto.op_type} are not initializers of the model: {', '.join(missing)}",
                fix="fold its constants first",
            )
        weights = {name: numpy_helper.to_array(held[given]) for name, given in named.items()}
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in proto.attribute}
        return OnnxNode(proto.op_type, attributes, weights)


class OnnxNodes:
    """For each layer an ``OnnxNode``; also read from a model, whose recurrent nodes must then be as many."""

    def wrap(self, passes: Passes, layout: Layout) -> list[OnnxNode]:
        return [self._node(of_layer, layout) for of_layer in passes]

    def _node(self, directions: list[Arrays], layout: Layout) -> OnnxNode:
        weights = {name: np.stack([arrays[name] for arrays in directions]) for name in directions[0]}
        count = len(directions)
        attributes = {
            **layout.settings,
            "activations": [*layout.settings["activations"]] * count,
            "direction": DIRECTIONS[count - 1],
            "hidden_size": weights["R"].shape[-1],
        }
        return OnnxNode(layout.kind, attributes, weights)

    def unwrap(self, foreign: Any, layout: Layout, layers: int, directions: int) -> Passes:
        if hasattr(foreign, "graph"):
            foreign = [
                OnnxNode.read(one, foreign.graph.initializer) for one in foreign.graph.node if one.op_type in DEFAULTS
            ]
        return [self._of_layer(node, layout, directions) for node in one_per_layer(foreign, layers)]

    def _of_layer(self, node: Any, layout: Layout, directions: int) -> list[Arrays]:
        if not isinstance(node, OnnxNode) or node.kind != layout.kind:
            got = node.kind if isinstance(node, OnnxNode) else type(node).__name__
            raise InputError(
                "CONVERT_INPUT",
                f"expected {layout.kind} nodes, got {got}",
                fix="pass a model, or an OnnxNode for each layer",
            )
        check_settings(layout, _settings(node, directions), node.kind)
        return [
            {name: as_array(value)[direction] for name, value in node.weights.items()}
            for direction in range(directions)
        ]


def _settings(node: OnnxNode, directions: int) -> dict[str, Any]:
    """What the node says of the cell: activations of one direction, since ours has the same in both.

    Raises:
        InputError: a direction, or a clipping, that ours cannot do.
    """
    given = {name: _text(value) for name, value in node.attributes.items()}
    direction = given.get("direction", "forward")
    if direction != DIRECTIONS[directions - 1] or "clip" in given:
        raise InputError(
            "CONVERT_SETTING",
            f"the node has direction={direction!r}{' and clips' if 'clip' in given else ''}, "
            f"our layer is {DIRECTIONS[directions - 1]} and does not clip",
            fix="make our layer with the same directions; for reverse alone, reverse its input and output",
        )
    settings = {**DEFAULTS[node.kind], **given}
    both = tuple(
        name.capitalize() for name in given.get("activations", DEFAULTS[node.kind]["activations"] * directions)
    )
    one = both[: len(both) // directions]
    return {**settings, "activations": one if one * directions == both else both}


def _text(value: Any) -> Any:
    """Names come as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    return [_text(part) for part in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
