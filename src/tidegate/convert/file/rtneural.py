"""RTNeural's JSON, as AIDA-X and other audio plugins load it: its own form, and names of torch as GuitarML's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tidegate.convert.file import nam
from tidegate.convert.file.named import layers_of
from tidegate.convert.file.text import array, damaged, facts, json_object
from tidegate.convert.found import FoundLayer, usual
from tidegate.convert.layout import Array, Arrays, check, to_pieces
from tidegate.convert.table import KERAS
from tidegate.errors import InputError, visible

KINDS = ("lstm", "gru")
DENSE = ("dense", "time-distributed-dense")


def read(path: Path) -> list[FoundLayer]:
    """The LSTMs and GRUs of a model, each with the linear layer above it if there is one.

    Raises:
        InputError: it is damaged, or has no such layer.
    """
    file = json_object(path)
    if "architecture" in file:
        return nam.layers(path, file)
    if isinstance(file.get("layers"), list):
        return _own(path, file)
    return _named(path, file)


def _own(path: Path, file: Mapping[str, Any]) -> list[FoundLayer]:
    layers = file["layers"]
    if not all(isinstance(layer, dict) and isinstance(layer.get("weights"), list) for layer in layers):
        raise damaged(path, "a layer has no weights")
    said = facts(file, "in_shape", "layers")
    found = []
    for k, layer in enumerate(layers):
        if layer.get("type") in KINDS:
            above = layers[k + 1 :]
            where = f"layers[{k}]" + "".join(f", {_shown(one)}" for one in above)
            found.append(_layer(path, layer, f"{layer['type']}_{k}", where, _head(path, above[:1]), said))
    return found or _without(path, [_shown(layer) for layer in layers])


def _layer(
    path: Path, layer: Mapping[str, Any], name: str, where: str, head: Arrays, said: Mapping[str, Any]
) -> FoundLayer:
    row = layer["type"]
    layout, held = KERAS[row], [array(path, value, f"weights of {name}") for value in layer["weights"]]
    if len(held) != len(layout.arrays) or held[0].ndim != 2 or held[1].ndim != 2:
        raise damaged(path, f"{name} has weights of shape {', '.join(str(value.shape) for value in held) or 'none'}")
    arrays = dict(zip((stored.name for stored in layout.arrays), held, strict=True))
    check(layout, arrays, {"I": len(held[0]), "H": len(held[1])}, name)
    said_width = layer["shape"][-1] if isinstance(layer.get("shape"), list) and layer["shape"] else None
    if said_width != len(held[1]):
        raise damaged(path, f"{name} is said to have {str(said_width)[:20]} units, its weights have {len(held[1])}")
    if head and head["weight"].shape[1] != len(held[1]):
        raise damaged(path, f"the layer above {name} reads {head['weight'].shape[1]} numbers of {len(held[1])}")
    return FoundLayer(name, row, ((to_pieces(layout, arrays),),), usual(row), where, head=head, facts=said)


def _head(path: Path, above: Sequence[Mapping[str, Any]]) -> Arrays:
    """The linear layer that comes next, in our orientation; empty for something else."""
    if not above or above[0].get("type") not in DENSE or above[0].get("activation"):
        return {}
    kernel, *bias = (array(path, value, "weights of a dense layer") for value in above[0]["weights"])
    bias = bias or [np.zeros(kernel.shape[-1], np.float32)]
    if kernel.ndim != 2 or len(bias) != 1 or bias[0].shape != kernel.shape[1:]:
        raise damaged(path, f"a dense layer has a kernel of shape {kernel.shape}")
    return {"weight": np.ascontiguousarray(kernel.T), "bias": bias[0]}


def _named(path: Path, file: Mapping[str, Any]) -> list[FoundLayer]:
    """A ``state_dict`` as nested lists, alone or beside ``model_data``."""
    held = file.get("state_dict", file)
    held = held if isinstance(held, dict) else {}
    arrays = {name: array(path, value, name) for name, value in held.items() if isinstance(value, list)}
    data = file.get("model_data")
    said = {**facts(file), **(facts(data) if isinstance(data, dict) else {})}
    found = [replace(layer, facts=said) for layer in layers_of(arrays)]
    if not found:
        return _without(path, [*file])
    return [*found[:-1], replace(found[-1], head=_above(found[-1], arrays))]


def _above(layer: FoundLayer, arrays: Mapping[str, Array]) -> Arrays:
    """The only linear layer that reads the output's width; empty where there is none or several."""
    width = layer.hidden_size
    heads = [
        {"weight": weight, "bias": arrays[f"{name.removesuffix('weight')}bias"]}
        for name, weight in arrays.items()
        if name.endswith(".weight") and weight.ndim == 2 and weight.shape[1] == width
        and arrays.get(f"{name.removesuffix('weight')}bias", np.empty(())).shape == weight.shape[:1]
    ]  # fmt: skip
    return heads[0] if len(heads) == 1 else {}


def _shown(layer: Mapping[str, Any]) -> str:
    return f"{layer.get('type')} {layer.get('activation') or ''}".strip()


def _without(path: Path, names: Sequence[str]) -> list[FoundLayer]:
    shown = visible(", ".join(names)[:200]) or "nothing"
    raise InputError("READ_LAYER", f"{visible(str(path))} holds {shown}: no LSTM and no GRU", fix="pass another file")
