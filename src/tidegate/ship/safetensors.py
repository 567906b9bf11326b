"""safetensors: arrays by name, and what the cell is, in a file that no program has to trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from tidegate._version import __version__
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.ship.statement import privacy_of


def safetensors(layers: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """Layers and heads with the names that torch gives their parameters, as ``NAME.weight_ih_l0``.

    Args:
        layers: modules by name: layers of ours and of ``torch.nn``.
        metadata: further texts for the head of the file.

    Returns:
        The content of the file. Its head says of each layer of ours, under ``tidegate.NAME``, the cell as a graph, the
        sizes and the options, so that ``tidegate.convert.read`` makes the same layer of it, whatever its cell is.

    Raises:
        InputError: something else than a module, or two names for one tensor.

    Example:
        >>> import torch, tidegate as tg
        >>> content = tg.ship.safetensors({"lstm": tg.nn.LSTM(1, 8), "head": torch.nn.Linear(8, 1)})
        >>> from safetensors.torch import load
        >>> sorted(load(content))[:2]
        ['head.bias', 'head.weight']
    """
    from safetensors.torch import save

    promise = privacy_of(layers.values())
    told = {"tidegate": __version__, **({"privacy": promise} if promise else {}), **(metadata or {})}
    tensors: dict[str, torch.Tensor] = {}
    for name, module in layers.items():
        if not isinstance(module, torch.nn.Module):
            raise InputError("SHIP_LAYER", f"expected a module as {name}, got {type(module).__name__}")
        tensors |= {f"{name}.{key}": value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        for path, part in module.named_modules(prefix=name):
            if isinstance(part, Recurrent):
                told[f"tidegate.{path}"] = json.dumps(_said(part))
    shared = {value.data_ptr() for value in tensors.values() if value.numel()}
    if len(shared) < sum(1 for value in tensors.values() if value.numel()):
        raise InputError("SHIP_NAMES", "two names stand for one tensor", fix="pass each layer once")
    return save(tensors, told)


def _said(layer: Recurrent) -> dict[str, Any]:
    """All that makes the same layer again; ``convert.read`` reads it."""
    sizes = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size")
    options = {name: dict(value) if isinstance(value, tuple) else value for name, value in layer.options.chosen}
    return {
        "cell": layer.graph.to_json(), **{name: getattr(layer, name) for name in sizes},
        "widths": {**(layer.own_widths or {}), **layer.added_widths()} or None, "options": options,
    }  # fmt: skip
