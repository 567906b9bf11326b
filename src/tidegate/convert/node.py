"""ONNX: recurrent nodes with their weights, as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tidegate.convert.activation import read_onnx
from tidegate.convert.container import check_settings, one_per_layer
from tidegate.convert.layout import Array, Arrays, Layout, Passes
from tidegate.convert.own import Own, as_array
from tidegate.errors import InputError, explain_missing

INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")  # of LSTM; RNN and GRU end before
STATES = ("initial_h", "initial_c")
WEIGHTS = ("W", "R", "B", "P")
ACTIVATIONS = ("activations", "activation_alpha", "activation_beta")
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
        weights: W, R, B and P, those that it has, each with the axis of directions first; initial_h and initial_c
            [D, 1, H] where a sequence does not begin with zeros, to be repeated for each sequence of a batch.

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
            initializers: the ``onnx.TensorProto`` of the weights, e.g. ``model.graph.initializer``. First states among
                them are read too; those that are inputs of the model, or are computed, are not part of the weights.

        Raises:
            MissingError: the package onnx is not installed.
            InputError: a weight is computed or passed in instead of held.
        """
        with explain_missing():
            from onnx import helper, numpy_helper  # optional, and only models need it
        held = {tensor.name: tensor for tensor in initializers}
        given = {name: its for name, its in zip(INPUTS, proto.input, strict=False) if its}
        named = {name: its for name, its in given.items() if name in WEIGHTS or (name in STATES and its in held)}
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

    def is_bare(self, foreign: Any) -> bool:  # noqa: ARG002  as every container
        return False

    def wrap(self, passes: Passes, layout: Layout, own: Own) -> list[OnnxNode]:  # noqa: ARG002
        return [self._node(of_layer, layout) for of_layer in passes]

    def _node(self, directions: list[Arrays], layout: Layout) -> OnnxNode:
        weights = {name: np.stack([arrays[name] for arrays in directions]) for name in directions[0]}
        weights = {name: value[:, None] if name in STATES else value for name, value in weights.items()}
        count = len(directions)
        attributes = {
            **layout.settings,
            **{name: [*layout.settings[name]] * count for name in ACTIVATIONS if name in layout.settings},
            "direction": DIRECTIONS[count - 1],
            "hidden_size": weights["R"].shape[-1],
        }
        return OnnxNode(layout.kind, attributes, weights)

    def unwrap(self, foreign: Any, layout: Layout, own: Own) -> Passes:
        if hasattr(foreign, "graph"):
            foreign = [
                OnnxNode.read(one, foreign.graph.initializer) for one in foreign.graph.node if one.op_type in DEFAULTS
            ]
        directions = len(own.directions)
        return [self._of_layer(node, layout, directions) for node in one_per_layer(foreign, own.layers)]

    def _of_layer(self, node: Any, layout: Layout, directions: int) -> list[Arrays]:
        if not isinstance(node, OnnxNode) or node.kind != layout.kind:
            got = node.kind if isinstance(node, OnnxNode) else type(node).__name__
            raise InputError(
                "CONVERT_INPUT",
                f"expected {layout.kind} nodes, got {got}",
                fix="pass a model, or an OnnxNode for each layer",
            )
        wanted = replace(layout, settings={n: v for n, v in layout.settings.items() if n not in ACTIVATIONS})
        stated = _settings(node, directions)
        check_settings(wanted, stated, node.kind)
        _check_activations(layout, stated, node.kind, directions)
        held = {name: _one_state(name, as_array(value)) for name, value in node.weights.items()}
        return [{name: value[direction] for name, value in held.items()} for direction in range(directions)]


def _settings(node: OnnxNode, directions: int) -> dict[str, Any]:
    """What the node says of the cell.

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
    return {**DEFAULTS[node.kind], **given}


def _check_activations(layout: Layout, stated: Mapping[str, Any], where: str, directions: int) -> None:
    """Refuse other activations than those of our layer, which has the same in both directions.

    Raises:
        InputError: they are others, or unknown.
    """
    names = tuple(stated["activations"])
    both = read_onnx(names, stated.get("activation_alpha", ()), stated.get("activation_beta", ()))
    ours = read_onnx(*(layout.settings.get(name, ()) for name in ACTIVATIONS))
    wanted = ours * (directions if len(both) > len(ours) else 1)
    if len(both) != len(wanted) or not all(a and a.is_near(b) for a, b in zip(both, wanted, strict=True)):
        shown = ", ".join(map(str, (found or name for found, name in zip(both, names, strict=True))))
        raise InputError(
            "CONVERT_SETTING",
            f"{where} has the activations {shown}, but for this layer they must be {', '.join(map(str, ours))}",
            fix="make our layer of a cell with those activations",
        )


def _one_state(name: str, value: Array) -> Array:
    """A first state without the axis of sequences, which must all begin with the same.

    Raises:
        InputError: they do not.
    """
    if name not in STATES:
        return value
    if value.ndim != 3 or not value.shape[1] or (value != value[:, :1]).any():
        raise InputError(
            "CONVERT_VALUE",
            f"{name} of shape {value.shape} is not the same for all sequences of a batch",
            fix="load a node without it, and pass it as hx of the call",
        )
    return value[:, 0]


def _text(value: Any) -> Any:
    """Names come as bytes."""
    if isinstance(value, bytes):
        return value.decode()
    return [_text(part) for part in value] if isinstance(value, Sequence) and not isinstance(value, str) else value
