"""Neural Amp Modeler: its ``.nam`` files, JSON with all numbers in one list."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from tidegate._version import __version__
from tidegate.convert.table import NAM
from tidegate.nn import Recurrent
from tidegate.ship.part import Target, affine
from tidegate.ship.statement import privacy_of

TARGET = Target("Neural Amp Modeler", NAM)
VERSION = "0.5.4"  # the oldest that all its readers of today take; more channels need the next one
MANY_CHANNELS = "0.7.0"


def nam(layer: Recurrent, head: Any, sample_rate: float, metadata: Mapping[str, Any] | None = None) -> str:
    """An LSTM and its linear head as Neural Amp Modeler runs them: samples of sound in, samples out.

    Each layer is one matrix [4H, I + H] with the gates i f g o, one bias, and its first states, which are the learned
    ones if it has any. The core runs half a second of silence through a model before the first sample, so sound starts
    from the state that silence leads to.

    Args:
        layer: an LSTM in one direction.
        head: a ``torch.nn.Linear`` that reads its output.
        sample_rate: of the sound that it was trained on, in hertz.
        metadata: further entries that players show, such as ``{"name": ..., "loudness": ...}``.

    Returns:
        The text of a ``.nam`` file. Its numbers are exact.

    Raises:
        EmitError: another cell, or something that such a file has no place for.
        InputError: not a layer of ours, or a head that does not fit.

    Example:
        >>> import json, torch, tidegate as tg
        >>> text = tg.ship.nam(tg.nn.LSTM(1, 8), torch.nn.Linear(8, 1), sample_rate=48000)
        >>> json.loads(text)["config"]
        {'input_size': 1, 'hidden_size': 8, 'num_layers': 1}
    """
    numbers = []
    for held in TARGET.layers(layer):
        W, U, *rest = held.arrays.values()
        numbers += [np.hstack([W, U]), *rest]
    weight, bias = affine(head, layer.hidden_size)
    config = {"input_size": layer.input_size, "hidden_size": layer.hidden_size, "num_layers": layer.num_layers}
    channels = {"in_channels": layer.input_size, "out_channels": len(weight)}
    promise = privacy_of([layer])
    told = {"tidegate": __version__, **({"privacy": promise} if promise else {}), **(metadata or {})}
    many = set(channels.values()) != {1}
    return json.dumps({
        "version": MANY_CHANNELS if many else VERSION,
        "architecture": "LSTM",
        "config": config | (channels if many else {}),
        "weights": list(chain.from_iterable(part.ravel().tolist() for part in (*numbers, weight, bias))),
        "sample_rate": sample_rate,
        "metadata": told,
    })  # fmt: skip
