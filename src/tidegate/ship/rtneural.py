"""RTNeural: its JSON, as AIDA-X and other audio plugins load it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from tidegate.convert.table import KERAS
from tidegate.errors import EmitError
from tidegate.nn import Recurrent
from tidegate.ship.part import Target, affine
from tidegate.ship.statement import privacy_of

TARGET = Target("RTNeural", {row: KERAS[row] for row in ("lstm", "peepholelstm", "gru")})
ACTIVATIONS: Mapping[type[torch.nn.Module], str] = {
    torch.nn.Tanh: "tanh",
    torch.nn.ReLU: "relu",
    torch.nn.Sigmoid: "sigmoid",
    torch.nn.Softmax: "softmax",
    torch.nn.ELU: "elu",
}


def rtneural(layer: Recurrent, head: Any, extra: Mapping[str, Any] | None = None) -> str:
    """An LSTM or GRU and the layers above it as RTNeural's ``json_parser`` reads them.

    Matrices lie (in, out). An LSTM has the gates i f g o and one bias, a GRU z r n and two: it resets after the
    product. RTNeural begins with zeros.

    Args:
        layer: an LSTM or GRU in one direction; each of its layers becomes one of RTNeural's.
        head: a ``torch.nn.Linear`` that reads its output, or a ``torch.nn.Sequential`` of such and of Tanh, ReLU,
            Sigmoid, Softmax and ELU.
        extra: further entries of the file, such as AIDA-X's ``{"in_skip": 1, "out_gain": 0.0}``.

    Returns:
        The text of a JSON file. Its numbers are exact.

    Raises:
        EmitError: another cell, or something that RTNeural has no place for.
        InputError: not a layer of ours, or a head that does not fit.

    Example:
        >>> import json, torch, tidegate as tg
        >>> text = tg.ship.rtneural(tg.nn.GRU(1, 8), torch.nn.Linear(8, 1))
        >>> [(part["type"], part["shape"]) for part in json.loads(text)["layers"]]
        [('gru', [None, None, 8]), ('dense', [None, None, 1])]
    """
    width = layer.hidden_size
    layers = [_entry(held.kind.lower(), width, [*held.arrays.values()], "tanh") for held in TARGET.layers(layer)]
    for module in head if isinstance(head, torch.nn.Sequential) else [head]:
        if (name := _activation(module)) is not None:
            layers.append(_entry("activation", width, [], name))
        else:
            weight, bias = affine(module, width)
            width = len(bias)
            layers.append(_entry("dense", width, [weight.T, bias], ""))
    promise = privacy_of([layer])
    told = {**({"privacy": promise} if promise else {}), **(extra or {})}
    return json.dumps({**told, "in_shape": [None, None, layer.input_size], "layers": layers})


def _entry(kind: str, width: int, weights: list[Any], activation: str) -> dict[str, Any]:
    return {
        "type": kind, "activation": activation, "shape": [None, None, width],
        "weights": [array.tolist() for array in weights],
    }  # fmt: skip


def _activation(module: torch.nn.Module) -> str | None:
    if isinstance(module, torch.nn.ELU) and module.alpha != 1:
        raise EmitError("SHIP_VALUE", f"RTNeural has no place for alpha={module.alpha} of ELU", fix="it has alpha=1")
    return ACTIVATIONS.get(type(module))
