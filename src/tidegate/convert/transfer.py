"""``dump`` and ``load``: the weights of a layer as another framework holds them, and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from os import PathLike
from typing import Any

from tidegate.convert.activation import KERAS
from tidegate.convert.container import Container, StateDict, Tree, WeightLists
from tidegate.convert.gates import Gates
from tidegate.convert.layout import Layout, Passes, Pieces, check, from_pieces, to_pieces
from tidegate.convert.node import OnnxNodes
from tidegate.convert.own import Own, settings_of
from tidegate.convert.table import FORMATS
from tidegate.errors import EmitError, InputError, TidegateWarning
from tidegate.nn import Recurrent, RecurrentCell
from tidegate.option import OPTIONS, Pass

GATES = "gates"
CONTAINERS: Mapping[str, Container] = {
    "torch": StateDict(),
    "keras": WeightLists(),
    "linen": Tree("params"),
    "nnx": Tree(),
    "nnx/optimized": Tree(),
    "onnx": OnnxNodes(),
    GATES: Gates(),
}
PLACES = {
    "b": "a bias",
    "d": "a bias",
    "p": "peepholes",
    "hr": "a projection",
    "initial": "learn_initial_state=True",
}


def dump(layer: Recurrent | RecurrentCell, target: str) -> Any:
    """The weights of a layer as another framework takes them. No framework needs to be installed.

    Two biases that the other side has one of are added, which is exact but for rounding: everywhere but in the
    candidate of a GRU whose reset gate comes after the product. An update gate that writes is stored as one that
    keeps. Peepholes and learned initial states that are zero are left out where there is no place for them.

    A cell of your own is converted where the other side has its equations, under whatever names; its activations may
    be any that the other side has. Options that act in training alone (dropout of every kind) and that only initialise
    are no part of the weights; those that change what evaluation computes are refused by name.

    Args:
        layer: a layer or a cell of ``tidegate.nn``, of a cell that the target has.
        target: ``"torch"``, ``"keras"``, ``"linen"`` or ``"nnx"`` (Flax), ``"nnx/optimized"`` for its
            OptimizedLSTMCell, ``"onnx"``, or ``"gates"``.

    Returns:
        - torch: a ``state_dict``; of a cell that of torch's cell.
        - keras: for each layer the list that ``set_weights`` takes, of a ``Bidirectional`` if ours is.
        - linen: for each layer the variables of ``nn.RNN(cell)``, or of a ``nn.Bidirectional`` of two.
        - nnx: the same as ``nnx.update`` takes them.
        - onnx: for each layer an ``OnnxNode`` with operator, attributes, and W, R, B, P, initial_h and initial_c.
        - gates: of any cell its pieces by gate, as ``{"W.i": [H, I], "U.i": [H, H], "b.i": [H], "d.i": [H], "p.i":
          [H], "initial.h": [H], ...}``: W and b belong to the input, U and d to the output of the step before. A pair
          of them (forward, backward) for two directions, and a list with one entry a layer for several layers.

        Arrays are NumPy's, of the layer's dtype (bfloat16 as float32); torch's are tensors.

    Raises:
        EmitError: the target has no such cell or activation, or no place for an option or for a value that is not
            zero; names those that have.
        InputError: no such target, or neither a layer nor a cell of ours.

    Warns:
        TidegateWarning: the arrays of the target do not say which activations they belong to, and those of this layer
            are not the ones that the other side has by default; or the layer was trained under a promise of privacy.

    Example:
        >>> import tidegate as tg
        >>> layer = tg.nn.GRU(3, 4, num_layers=2, bidirectional=True)
        >>> [[array.shape for array in arrays[:3]] for arrays in tg.convert.dump(layer, "keras")]
        [[(3, 12), (4, 12), (2, 12)], [(8, 12), (4, 12), (2, 12)]]
        >>> sorted(tg.convert.dump(tg.nn.RNN(3, 4), "gates"))
        ['U.h', 'W.h', 'b.h', 'd.h']
    """
    own, container = Own(layer), _container(target)
    if promise := getattr(layer, "privacy", ""):
        warnings.warn(f"arrays do not say it, so keep it beside them: {promise}", TidegateWarning, stacklevel=2)
    passes, layout = _dumped(own, target)
    _warn_of_settings(layout, target)
    return container.wrap(passes, layout, own)


def load(
    layer: Recurrent | RecurrentCell,
    source: str,
    weights: Any,
    *,
    at: str | None = None,
    activation: Mapping[str, str] | None = None,
) -> None:
    """Load into a layer the weights that another framework holds.

    The layer must be the same cell with the same sizes, layers and directions. A single bias becomes that of
    W, the other is zero. On an error the layer is unchanged.

    Bare arrays do not say which activations they were trained with: they are taken to be those of the layer, unless
    ``activation`` says otherwise. Models of Keras before 2.3 have ``hard_sigmoid`` gates unless told otherwise, and
    that function is another one than the ``hard_sigmoid`` of Keras 3; so arrays of a Keras LSTM or GRU get a warning.

    Args:
        layer: a layer or a cell of ``tidegate.nn``.
        source: as ``target`` of ``dump``.
        weights: what ``dump`` returns for it, or

            - torch: a module, or its ``state_dict``; names of a cell, without ``_l0``, fit a single layer too;
            - keras: a list with, for each layer, the built layer or what its ``get_weights`` gives;
            - linen: a list with, for each layer, what ``init`` of an RNN, a Bidirectional or a cell gives;
            - nnx: the same with ``nnx.state(module, nnx.Param)``;
            - onnx: an ``onnx.ModelProto``, or a list with an ``OnnxNode`` for each layer (see ``OnnxNode.read``);
            - gates: pieces by gate, as ``dump`` describes them. All W and U must be there; biases, peepholes and
              initial states of all gates or of none.

            Another layer of ours is dumped first: between GRUs whose update gate keeps and writes, between an
            LSTM and a PeepholeLSTM. Numbers are rounded to the layer's dtype.
        at: torch: where in a whole model, or its ``state_dict``, the layer is, e.g. ``"encoder.lstm"``.
        activation: the activations that bare arrays were trained with, in the words of the other side: of Keras
            ``{"activation": "tanh", "recurrent_activation": "hard_sigmoid_keras2"}``. They must be those of the layer.

    Raises:
        InputError: no such source, weights of another cell, size or activation, or a value that our layer has no place
            for.
        EmitError: the other side has no such cell.
        BackendError: reading an ONNX model needs the package onnx.

    Warns:
        TidegateWarning: arrays of a Keras LSTM or GRU without ``activation``.

    Example:
        >>> import torch, tidegate as tg
        >>> keeps, writes = tg.nn.GRU(3, 4), tg.nn.GRU(3, 4, update="write")
        >>> tg.convert.load(writes, "torch", keeps)
        >>> x = torch.ones(5, 2, 3)
        >>> torch.allclose(keeps(x)[0], writes(x)[0], atol=1e-6)
        True
        >>> model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4), "head": torch.nn.Linear(4, 1)})
        >>> tg.convert.load(tg.nn.LSTM(3, 4), "torch", model.state_dict(), at="lstm")
    """
    own, container = Own(layer), _container(source)
    if isinstance(weights, (str, PathLike)):
        raise InputError(
            "CONVERT_INPUT",
            f"expected weights of {source}, got a path",
            fix="tidegate.convert.read(path) finds the layers in a file",
        )
    _refuse_options(own, source, loading=True)
    layout, held = _layouts(own, source)
    is_ours = isinstance(weights, (Recurrent, RecurrentCell))
    foreign = _of_ours(weights, own, source) if is_ours else weights
    stated = _check_activations(own, layout, source, activation)
    passes = container.unwrap(foreign, layout, own) if at is None else _at(container).unwrap(foreign, layout, own, at)
    loaded = {}
    for k, reverse, widths in own.passes():
        arrays = passes[k][int(reverse)]
        check(layout, arrays, widths, f"layer {k} of {source}")
        pieces = to_pieces(layout, arrays, widths)
        if unplaced := held.unplaced(pieces):
            raise InputError(
                "CONVERT_VALUE",
                f"{own.name} has no place for {', '.join(unplaced)} in layer {k} of {source}, which are not zero",
                fix=f"load into a layer with {_places(unplaced)}",
            )
        loaded[k, reverse] = from_pieces(held, pieces, widths)
    own.write(loaded)
    if not is_ours and not stated and container.is_bare(foreign) and layout.kind in {"LSTM", "GRU"}:
        _warn_of_activations(layout, source)


def _dumped(own: Own, target: str) -> tuple[Passes, Layout]:
    """The arrays of a layer as the other side holds them, and how it does.

    Raises:
        EmitError: it cannot.
    """
    _refuse_options(own, target, loading=False)
    layout, held = _layouts(own, target)
    passes: Passes = [[] for _ in range(own.layers)]
    for k, reverse, widths in own.passes():
        pieces = to_pieces(held, own.read(k, reverse=reverse), widths)
        if unplaced := layout.unplaced(pieces):
            raise EmitError(
                "CONVERT_VALUE",
                f"{layout.kind} of {target} has no place for {', '.join(unplaced)} of layer {k} of {own.name} "
                f"({_places(unplaced)}), which are not zero",
                fix=_alternatives(own, pieces),
            )
        passes[k].append(from_pieces(layout, pieces, widths))
    return passes, layout


def _of_ours(layer: Recurrent | RecurrentCell, own: Own, source: str) -> Any:
    """Another layer of ours as the other side holds it, which must have the activations of the one to be loaded.

    Raises:
        InputError: it computes something else with the same arrays.
    """
    other = Own(layer)
    passes, layout = _dumped(other, source)
    wanted = _layouts(own, source)[0].settings
    differs = [name for name, value in layout.settings.items() if wanted.get(name, value) != value]
    if differs or (source == GATES and other.graph.without_bias().hash != own.graph.without_bias().hash):
        what = ", ".join(differs) or "its equations"
        raise InputError(
            "CONVERT_SETTING",
            f"{other.name} differs from {own.name} in {what}, and would compute something else with the same arrays",
            fix="load into a layer of the same cell",
        )
    return _container(source).wrap(passes, layout, other)


def _container(name: str) -> Container:
    if name not in CONTAINERS:
        raise InputError(
            "CONVERT_FORMAT", f"there is no {name!r} to convert to or from", fix=f"take one of {', '.join(CONTAINERS)}"
        )
    return CONTAINERS[name]


def _at(container: Container) -> StateDict:
    if not isinstance(container, StateDict):
        raise InputError(
            "CONVERT_AT", "at= says where in a torch model a layer is", fix="pass the weights of the layer"
        )
    return container


def _layouts(own: Own, name: str) -> tuple[Layout, Layout]:
    """How the other side stores the cell, with the settings that it must have; and how ours does in the same words."""
    if name == GATES:
        return Gates.layout(own), own.pieces
    if own.row not in FORMATS[name]:
        raise EmitError("CONVERT_CELL", f"{name} has no cell that computes {own.name}", fix=_alternatives(own, {}))
    layout = FORMATS[name][own.row]
    settings = settings_of(own, layout)
    if isinstance(settings, str):
        raise EmitError("CONVERT_ACTIVATION", f"{layout.kind} of {name} {settings}", fix=_alternatives(own, {}))
    return replace(layout, settings={**layout.settings, **settings}), own.layout


def _refuse_options(own: Own, other: str, *, loading: bool) -> None:
    """Refuse options that the other side cannot hold: those that evaluation computes with, to load only a layer norm.

    Raises:
        EmitError: names the first of them.
    """
    for name, value in () if own.is_step else own.layer.options.chosen:
        option = OPTIONS[name]
        if not isinstance(option, Pass) or option.written_out:
            continue
        runs = not loading and option.rewrite(own.graph, value, training=False, resets=False) != own.graph
        if runs or (option.is_in_graph and other != GATES):
            shown = dict(value) if isinstance(value, tuple) else value
            raise EmitError(
                "CONVERT_OPTION",
                f"{other} has no {name}, and {own.name} computes with {name}={shown} in evaluation too",
                fix="no other framework has it: keep it as a state_dict of ours, or make the layer without it",
            )


def _check_activations(own: Own, layout: Layout, source: str, stated: Mapping[str, str] | None) -> bool:
    """Hold what the caller says of the other side's activations to those of the layer; whether all of them are stated.

    Raises:
        InputError: the other side has no such setting, or the layer another activation.
    """
    roles = {role.name: role for role in layout.roles if role.names and role.name}
    for name, wanted in (stated or {}).items():
        if name not in roles:
            has = ", ".join(roles) or "no setting of an activation that its arrays do not carry"
            raise InputError("CONVERT_SETTING", f"{layout.kind} of {source} has {has}, not {name!r}", fix="name those")
        known = {**KERAS, **roles[name].names}
        if wanted not in known:
            raise InputError("CONVERT_SETTING", f"there is no activation {wanted!r}", fix=f"take {', '.join(known)}")
        ours = layout.settings[name]
        if known[wanted] != roles[name].names[ours]:
            raise InputError(
                "CONVERT_SETTING",
                f"the weights are of {name}={wanted!r}, but {own.name} computes {ours}",
                fix="load into a layer of a cell with that activation; tidegate.zoo.keras has them as options",
            )
    return stated is not None and roles.keys() <= stated.keys()


def _warn_of_settings(layout: Layout, target: str) -> None:
    """Arrays do not carry activations: say which the other side must be made with, if they are not its own choice."""
    silent = [role for role in layout.roles if role.names and role.name and role.name != "mode"]
    usual = {"activation": "tanh", "activation_fn": "tanh", "recurrent_activation": "sigmoid", "gate_fn": "sigmoid"}
    if needed := {role.name: s for role in silent if (s := layout.settings[role.name]) != usual[role.name]}:
        text = f"the arrays do not say it: make the {layout.kind} of {target} with {_shown(needed)}"
        warnings.warn(text, TidegateWarning, stacklevel=3)


def _warn_of_activations(layout: Layout, source: str) -> None:
    assumed = {role.name: layout.settings[role.name] for role in layout.roles}
    old = [name for name, value in assumed.items() if value == "sigmoid"]
    more = f" (models made by Keras before 2.3 have hard_sigmoid as {old[0]})" if old else ""
    text = (
        f"the arrays of {source} do not say their activations: assumed {_shown(assumed)}{more} — pass activation="
        f"{assumed} where that is right, or the built layers"
    )
    warnings.warn(text, TidegateWarning, stacklevel=3)


def _shown(settings: Mapping[str, Any]) -> str:
    return " and ".join(f"{name}={value!r}" for name, value in settings.items())


def _alternatives(own: Own, pieces: Pieces) -> str:
    """Who has the cell with its activations, and a place for all of it."""
    able = [
        name
        for name, rows in FORMATS.items()
        if own.row in rows
        and not rows[own.row].unplaced(pieces)
        and not isinstance(settings_of(own, rows[own.row]), str)
    ]
    return f"{', '.join(able)} can hold it" if able else "no other framework has it: keep it as a state_dict of ours"


def _places(pieces: list[str]) -> str:
    return " and ".join(dict.fromkeys(PLACES.get(source := piece.split(".")[0], source) for piece in pieces))
