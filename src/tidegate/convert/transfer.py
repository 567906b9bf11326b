"""``dump`` and ``load``: the weights of a layer as another framework holds them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tidegate.convert.container import Container, StateDict, Tree, WeightLists
from tidegate.convert.layout import Layout, Pieces, check, from_pieces, to_pieces
from tidegate.convert.node import OnnxNodes
from tidegate.convert.own import Own
from tidegate.convert.table import FORMATS
from tidegate.errors import EmitError, InputError
from tidegate.nn import Recurrent

CONTAINERS: Mapping[str, Container] = {
    "torch": StateDict(),
    "keras": WeightLists(),
    "linen": Tree("params"),
    "nnx": Tree(),
    "nnx/optimized": Tree(),
    "onnx": OnnxNodes(),
}
PLACES = {"b": "a bias", "d": "a bias", "p": "peepholes", "hr": "a projection"}


def dump(layer: Recurrent, target: str) -> Any:
    """The weights of a layer as another framework takes them. No framework needs to be installed.

    Two biases that the other side has one of are added, which is exact but for rounding: everywhere but in the
    candidate of a GRU whose reset gate comes after the product. An update gate that writes is stored as one that
    keeps. Peepholes that are zero are left out where there is no place for them.

    Args:
        layer: a layer of ``tidegate.nn``, of a cell that the target has.
        target: ``"torch"``, ``"keras"``, ``"linen"`` or ``"nnx"`` (Flax), ``"nnx/optimized"`` for its
            OptimizedLSTMCell, or ``"onnx"``.

    Returns:
        - torch: a ``state_dict``.
        - keras: for each layer the list that ``set_weights`` takes, of a ``Bidirectional`` if ours is.
        - linen: for each layer the variables of ``nn.RNN(cell)``, or of a ``nn.Bidirectional`` of two.
        - nnx: the same as ``nnx.update`` takes them.
        - onnx: for each layer an ``OnnxNode`` with operator, attributes, and W, R, B and P.

        Arrays are NumPy's, of the layer's dtype (bfloat16 as float32); torch's are tensors.

    Raises:
        EmitError: the target has no such cell, or no place for a value that is not zero; names those that have.
        InputError: no such target, or not a layer of ours.

    Example:
        >>> import tidegate as tg
        >>> layer = tg.nn.GRU(3, 4, num_layers=2, bidirectional=True)
        >>> [[array.shape for array in arrays[:3]] for arrays in tg.convert.dump(layer, "keras")]
        [[(3, 12), (4, 12), (2, 12)], [(8, 12), (4, 12), (2, 12)]]
    """
    own, container = Own(layer), _container(target)
    layout = _layout(own, target)
    passes: list[list[dict[str, Any]]] = [[] for _ in range(layer.num_layers)]
    for k, reverse, widths in own.passes():
        pieces = to_pieces(own.layout, own.read(k, reverse=reverse))
        if unplaced := layout.unplaced(pieces):
            raise EmitError(
                "CONVERT_VALUE",
                f"{layout.kind} of {target} has no place for {', '.join(unplaced)} of layer {k} of {own.name}, "
                "which are not zero",
                fix=_alternatives(own, pieces),
            )
        passes[k].append(from_pieces(layout, pieces, widths))
    return container.wrap(passes, layout)


def load(layer: Recurrent, source: str, weights: Any) -> None:
    """Load into a layer the weights that another framework holds.

    The layer must be the same cell with the same sizes, layers and directions. A single bias becomes that of
    W, the other is zero. On an error the layer is unchanged.

    Args:
        layer: a layer of ``tidegate.nn``.
        source: as ``target`` of ``dump``.
        weights: what ``dump`` returns for it, or

            - torch: a module, or its ``state_dict``;
            - keras: a list with, for each layer, the built layer or what its ``get_weights`` gives;
            - linen: a list with, for each layer, what ``init`` of an RNN, a Bidirectional or a cell gives;
            - nnx: the same with ``nnx.state(module, nnx.Param)``;
            - onnx: an ``onnx.ModelProto``, or a list with an ``OnnxNode`` for each layer (see ``OnnxNode.read``).

            Another layer of ours is dumped first: between GRUs whose update gate keeps and writes, between an
            LSTM and a PeepholeLSTM. Numbers are rounded to the layer's dtype.

    Raises:
        InputError: no such source, weights of another cell or size, or a value that our layer has no place for.
        EmitError: the other side has no such cell.
        BackendError: reading an ONNX model needs the package onnx.

    Example:
        >>> import torch, tidegate as tg
        >>> keeps, writes = tg.nn.GRU(3, 4), tg.nn.GRU(3, 4, update="write")
        >>> tg.convert.load(writes, "torch", keeps)
        >>> x = torch.ones(5, 2, 3)
        >>> torch.allclose(keeps(x)[0], writes(x)[0], atol=1e-6)
        True
    """
    own, container = Own(layer), _container(source)
    layout = _layout(own, source)
    foreign = dump(weights, source) if isinstance(weights, Recurrent) else weights
    passes = container.unwrap(foreign, layout, layer.num_layers, len(own.directions))
    loaded = {}
    for k, reverse, widths in own.passes():
        arrays = passes[k][int(reverse)]
        check(layout, arrays, widths, f"layer {k} of {source}")
        pieces = to_pieces(layout, arrays)
        if unplaced := own.layout.unplaced(pieces):
            raise InputError(
                "CONVERT_VALUE",
                f"{own.name} has no place for {', '.join(unplaced)} in layer {k} of {source}, which are not zero",
                fix=f"load into a layer with {_places(unplaced)}",
            )
        loaded[k, reverse] = from_pieces(own.layout, pieces, widths)
    own.write(loaded)


def _container(name: str) -> Container:
    if name not in CONTAINERS:
        raise InputError(
            "CONVERT_FORMAT", f"there is no {name!r} to convert to or from", fix=f"take one of {', '.join(CONTAINERS)}"
        )
    return CONTAINERS[name]


def _layout(own: Own, name: str) -> Layout:
    if own.row not in FORMATS[name]:
        raise EmitError("CONVERT_CELL", f"{name} has no cell that computes {own.name}", fix=_alternatives(own, {}))
    return FORMATS[name][own.row]


def _alternatives(own: Own, pieces: Pieces) -> str:
    """Who has the cell and a place for all of it."""
    able = [name for name, rows in FORMATS.items() if own.row in rows and not rows[own.row].unplaced(pieces)]
    return f"{', '.join(able)} can hold it" if able else "no other framework has it: keep it as a state_dict of ours"


def _places(pieces: list[str]) -> str:
    return " and ".join(dict.fromkeys(PLACES[piece.split(".")[0]] for piece in pieces))
