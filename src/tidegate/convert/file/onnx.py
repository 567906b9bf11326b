"""ONNX: the recurrent nodes of a model, wherever they stand in it, with the constants that they are given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.activation import Activation, read_onnx
from tidegate.convert.file.constant import FAILURES, Model, Scope, refused
from tidegate.convert.found import PRIVACY, FoundLayer, usual
from tidegate.convert.layout import Array, Arrays, Pieces, check, to_pieces
from tidegate.convert.node import DEFAULTS, DIRECTIONS, INPUTS, STATES
from tidegate.convert.table import GROUPS, ONNX
from tidegate.errors import InputError

OURS = "tidegate.privacy"  # an entry of the metadata that ``ship.onnx`` writes
QUANTISED = "DynamicQuantize"  # of a contributed operator: W and R transposed and in 8 bits
SCALED = (*INPUTS, "W_scale", "W_zero_point", "R_scale", "R_zero_point")
OPERATORS = {
    **{(domain, kind): INPUTS for domain in ("", "ai.onnx") for kind in DEFAULTS},
    ("com.microsoft", f"{QUANTISED}LSTM"): SCALED,
}
WITHOUT_DEFAULT = ("affine", "scaledtanh")  # the standard gives their numbers no default, and runtimes differ


def read(path: Path) -> list[FoundLayer]:
    """Every RNN, GRU, LSTM and DynamicQuantizeLSTM of a model, also of the graphs inside If, Loop and Scan.

    Args:
        path: of the model; weights outside it must lie in its folder.

    Raises:
        InputError: it is no ONNX model.
        MissingError: the package onnx is not installed.
    """
    model = Model(path)
    nodes = [Node(*found) for found in _nodes(Scope(model.proto.graph, model), "")]
    for function in model.proto.functions:
        if hidden := [node for node in function.node if (node.domain, node.op_type) in OPERATORS]:
            raise refused(
                f"{hidden[0].op_type} stands in the function {function.name} of the model",
                fix="inline the functions first: onnx.inliner.inline_local_functions",
            )
    told = {entry.key: entry.value for entry in model.proto.metadata_props}
    promise = {PRIVACY: told[OURS]} if OURS in told else {}
    return [replace(node.found(), facts=promise) for node in nodes]


def _nodes(scope: Scope, where: str) -> Iterator[tuple[Any, Scope, str]]:
    for node in scope.graph.node:
        if (node.domain, node.op_type) in OPERATORS:
            yield node, scope, where
        for attribute in node.attribute:
            inside = f"{where}/{node.name or node.op_type}.{attribute.name}"
            for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _nodes(Scope(graph, scope.model, scope), inside)


class Node:
    """A recurrent node and the constants that it is given.

    Args:
        proto: the ``onnx.NodeProto``.
        scope: the graph that it stands in.
        where: the path to that graph.
    """

    def __init__(self, proto: Any, scope: Scope, where: str) -> None:
        self.proto, self.scope, self.where = proto, scope, where
        self.inputs = dict(zip(OPERATORS[proto.domain, proto.op_type], proto.input, strict=False))
        self.inputs = {name: given for name, given in self.inputs.items() if given}
        self.kind = proto.op_type.removeprefix(QUANTISED)
        self.name = proto.name or next(iter(proto.output), proto.op_type)

    def found(self) -> FoundLayer:
        """What stands in the table; of a node that cannot be read, why."""
        row, where = self.kind.lower().replace("gru", "gru/before"), [self.where or "/", *self._outside()]
        try:
            self.attributes = {**DEFAULTS[self.kind], **self.scope.model.attributes(self.proto)}
            row = self._row()
            return FoundLayer(
                self.name, row, (self._pieces(row),), self._activations(row), ", ".join(where),
                is_reverse=self.attributes.get("direction") == "reverse",
            )  # fmt: skip
        except InputError as error:
            return FoundLayer(self.name, row, (), usual(row), where[0], fault=error.message)

    def _row(self) -> str:
        """Of the table of conversions."""
        if "clip" in self.attributes:
            raise refused(f"it has clip={self.attributes['clip']}, which bounds what its activations are given")
        if self.kind == "GRU":
            return "gru" if self.attributes["linear_before_reset"] else "gru/before"
        if self.kind == "LSTM" and self.attributes["input_forget"]:
            return "cifg"
        return "peepholelstm" if "P" in self.inputs else self.kind.lower()

    def _directions(self) -> int:
        said = self.attributes.get("direction", "forward")
        if said not in (*DIRECTIONS, "reverse"):
            raise refused(f"it has direction={said!r:.40}")
        return 2 if said == "bidirectional" else 1

    def _activations(self, row: str) -> tuple[Activation, ...]:
        """One for each group of gates; both directions must have the same."""
        names, count = self.attributes["activations"], len(GROUPS[row])
        numbers = [self.attributes.get(f"activation_{name}", []) for name in ("alpha", "beta")]
        try:
            found = read_onnx(names, *numbers)
            bare = [name for name in names if name.lower() in WITHOUT_DEFAULT]
        except FAILURES as error:
            raise refused(f"its activations are damaged: {error}") from error
        if None in found:
            raise refused(f"it has the activation {names[found.index(None)]}, which none of our cells has")
        if bare and min(map(len, numbers)) < len(bare):
            raise refused(
                f"it has the activation {bare[0]} without alpha and beta, for which runtimes take different ones"
            )
        one, *other = [tuple(found[k : k + count]) for k in range(0, len(found), count)] or [()]
        if len(one) != count or len(other) > self._directions() - 1 or any(another != one for another in other):
            shown = ", ".join(names)
            raise refused(f"it has the activations {shown}; ours has {count}, the same in both directions")
        return tuple(activation for activation in one if activation is not None)

    def _pieces(self, row: str) -> list[Pieces]:
        """Of each direction.

        Raises:
            InputError: a weight is no constant, or of another shape.
        """
        count = self._directions()
        held = {name: self._weight(name) for name in ("W", "R", "B", "P") if name in self.inputs} | self._states()
        shown = ", ".join(f"{name} {value.shape}" for name, value in held.items())
        if not {"W", "R"} <= held.keys() or held["W"].ndim != 3 or held["R"].ndim != 3:
            raise refused(f"it has {shown or 'no weights'}")
        if any(len(value) != count for value in held.values()):
            raise refused(f"it has {shown}, but {count} direction(s)")
        widths = {"I": held["W"].shape[2], "H": held["R"].shape[2]}
        sides = [{name: value[k] for name, value in held.items()} for k in range(count)]
        for arrays in sides:
            check(ONNX[row], arrays, widths, self.name)
        return [to_pieces(ONNX[row], arrays) for arrays in sides]

    def _weight(self, name: str) -> Array:
        """With the axis of directions first, in floating point."""
        value = self.scope.value(self.inputs[name])
        if f"{name}_scale" in self.inputs:
            value = self._scaled(name, value).swapaxes(1, 2)
        elif value.dtype.kind not in "fV":  # V: bfloat16, which NumPy has not
            raise refused(f"{name} holds {value.dtype}")
        return np.ascontiguousarray(value if value.dtype == np.float64 else value.astype(np.float32))

    def _scaled(self, name: str, value: Array) -> Array:
        """Of 8 bits with a scale, and a zero point, for each direction or for each row of a gate."""
        given = [self.inputs.get(f"{name}_{what}") for what in ("scale", "zero_point")]
        scale, zero = (np.zeros(1) if one is None else self.scope.value(one).astype(np.float32) for one in given)
        if value.ndim != 3 or value.dtype.itemsize != 1:
            raise refused(f"{name} is {value.dtype} of shape {value.shape}, not of 8 bits and three axes")
        try:
            wide = [one.reshape(one.shape[0], 1, -1) for one in (scale, zero)]
            return np.asarray((value.astype(np.float32) - wide[1]) * wide[0], np.float32).reshape(value.shape)
        except (ValueError, IndexError) as error:
            raise refused(f"the scale of {name} is of shape {scale.shape}, its zero point {zero.shape}") from error

    def _states(self) -> Arrays:
        """First states that are constants other than zero and the same for all sequences: [D, H] by name."""
        found = {}
        for name in STATES:
            value = self._constant(name)
            if value is not None and value.any():
                found[name] = value.astype(np.float32)
        return found

    def _constant(self, name: str) -> Array | None:
        """A first state without the axis of sequences; None if it is no constant."""
        try:
            value = self.scope.value(self.inputs[name])
        except (InputError, KeyError):
            return None
        value = value.swapaxes(0, 1) if self.attributes.get("layout") and value.ndim == 3 else value
        if value.ndim != 3 or not value.shape[1] or value.dtype.kind != "f" or (value != value[:, :1]).any():
            raise refused(f"{name} of shape {value.shape} is not the same for all sequences of a batch")
        return np.ascontiguousarray(value[:, 0])

    def _outside(self) -> Iterator[str]:
        """First states that the model is given or computes: the caller passes them as ``hx``."""
        for name in STATES:
            if (given := self.inputs.get(name)) is None:
                continue
            try:
                self.scope.value(given)
            except InputError:
                with suppress(InputError):
                    if not self.scope.is_zero(given):
                        yield f"{name} from outside"
