"""What small targets hold: recurrent layers one after the other, each in one direction, and a linear head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from tidegate.convert.found import usual
from tidegate.convert.layout import Array, Arrays, Layout, from_pieces, to_pieces
from tidegate.convert.own import Own, as_array
from tidegate.convert.table import GROUPS
from tidegate.errors import EmitError, InputError

PLACES = {"b": "a bias", "d": "a second bias", "p": "peepholes", "initial": "learned initial states"}


class Held(NamedTuple):
    """One layer as a target holds it: what it calls the cell, and all arrays."""

    kind: str
    arrays: Arrays


@dataclass(frozen=True)
class Target:
    """A program that runs files of ours.

    Attributes:
        name: as its users know it.
        rows: how it stores each cell that it has, by the rows of ``convert.table``.
    """

    name: str
    rows: Mapping[str, Layout]

    def layers(self, layer: Any) -> Iterator[Held]:
        """The layers, lowest first; vectors that ours has not are zeros.

        Raises:
            EmitError: the target has no such cell, direction, option or value.
            InputError: it is no layer of ours, or holds numbers that are not finite.
        """
        own = Own(layer)
        if own.is_step:
            raise InputError(
                "SHIP_LAYER", f"{own.name} is a cell of one step", fix="load its weights into a layer first"
            )
        self._check(own)
        layout = self.rows[own.row]
        for k, reverse, widths in own.passes():
            pieces = to_pieces(own.layout, own.read(k, reverse=reverse), widths)
            if unplaced := layout.unplaced(pieces):
                places = dict.fromkeys(PLACES[piece.partition(".")[0]] for piece in unplaced)
                raise self._refusal(own, f"{' and '.join(places)} of layer {k}, which are not zero")
            missing = {piece: np.zeros(widths["H"], np.float32) for stored in layout.arrays for piece in stored.pieces}
            arrays = from_pieces(layout, {**missing, **pieces}, widths)
            finite(own.name, *arrays.values())
            yield Held(layout.kind, {name: value.astype(np.float32) for name, value in arrays.items()})

    def _check(self, own: Own) -> None:
        layer = own.layer
        if layer.options.layer_norm or layer.proj_size:
            raise self._refusal(own, "a layer norm" if layer.options.layer_norm else "a projection")
        if own.identity is None or own.row not in self.rows:
            kinds = ", ".join(dict.fromkeys(layout.kind for layout in self.rows.values()))
            raise EmitError(
                "SHIP_CELL", f"{self.name} has no cell that computes {own.name}; it has {kinds}",
                fix="ship to onnx or c, which hold any cell",
            )  # fmt: skip
        for gates, activation in zip(GROUPS[own.row], usual(own.row), strict=True):
            for gate in gates.split():
                if (other := own.identity.activations[gate]) != activation:
                    raise self._refusal(own, f"the activation {other or 'of your own'} of {gate}: it has {activation}")
        if layer.bidirectional:
            raise self._refusal(own, "a reverse direction: it runs step by step")
        if layer.cells[0].graph.hash != layer.graph.hash:
            raise self._refusal(own, f"{str(layer.options).removeprefix(', ')}, which acts in evaluation too")

    def _refusal(self, own: Own, what: str) -> EmitError:
        return EmitError(
            "SHIP_VALUE", f"{self.name} has no place for {what} ({own.name})", fix="ship to onnx or c, which hold it"
        )


def affine(head: Any, width: int) -> tuple[Array, Array]:
    """Weight [O, H] and bias [O] of a head, which must read a layer's output.

    Args:
        head: a ``torch.nn.Linear``.
        width: H, of the layer below.

    Raises:
        InputError: it is something else, reads another width, or holds numbers that are not finite.
    """
    if not isinstance(head, torch.nn.Linear):
        raise InputError(
            "SHIP_HEAD", f"expected a torch.nn.Linear as head, got {type(head).__name__}",
            fix="pass the linear layer that reads the last output of the recurrent one",
        )  # fmt: skip
    if head.in_features != width:
        raise InputError("SHIP_HEAD", f"the head reads {head.in_features} numbers, the layer below gives {width}")
    weight = as_array(head.weight).astype(np.float32)
    bias = np.zeros(len(weight), np.float32) if head.bias is None else as_array(head.bias).astype(np.float32)
    finite("the head", weight, bias)
    return weight, bias


def finite(name: str, *arrays: Array) -> None:
    """Refuse numbers that no text can hold.

    Raises:
        InputError: one is infinite or not a number.
    """
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError("SHIP_VALUE", f"{name} holds numbers that are not finite", fix="train it again")
