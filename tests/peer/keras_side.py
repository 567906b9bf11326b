"""Keras's own layers, on whichever backend it is set to; torch's unless something else is asked for."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from tests.peer.case import Case, Draw, H

os.environ.setdefault("KERAS_BACKEND", "torch")  # read when it is imported

import keras

KINDS = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM, "gru": keras.layers.GRU}


class KerasSide:
    def why_not(self, case: Case) -> str | None:
        there = {"tensorflow": (case.cell,), "torch": ("lstm", "gru")}.get(keras.backend.backend(), ())
        if case.dtype == "float64" and case.cell not in there:
            return "it computes products of float64 in float32, but on TensorFlow and where torch's own layers run"
        return None

    def run(self, case: Case, weights: Any, x: np.ndarray) -> np.ndarray:
        layers = _layers(case)
        for layer, of_layer in zip(layers, weights, strict=True):
            layer.set_weights(of_layer)
        return _run(layers, x)

    def drawn(self, case: Case, x: np.ndarray) -> tuple[Any, np.ndarray]:
        layers, draw = _layers(case), Draw(case)
        for layer in layers:
            layer.set_weights([draw(*weight.shape) for weight in layer.weights])
        return layers, _run(layers, x)


def _layers(case: Case) -> list[keras.layers.Layer]:
    options: dict[str, Any] = {"use_bias": case.bias, "dtype": case.dtype, "return_sequences": True}
    if case.family == "gru":
        options["reset_after"] = case.cell != "gru/before"
    if case.cell == "rnn/relu":
        options["activation"] = "relu"
    layers = []
    for width in case.widths:
        layer = KINDS[case.family](H, **options)
        layer = keras.layers.Bidirectional(layer, dtype=case.dtype) if case.bidirectional else layer
        layer.build((None, None, width))
        layers.append(layer)
    return layers


def _run(layers: list[keras.layers.Layer], x: np.ndarray) -> np.ndarray:
    y = keras.ops.convert_to_tensor(x.swapaxes(0, 1))
    for layer in layers:
        y = layer(y)
    y = y.detach() if hasattr(y, "detach") else y
    return np.asarray(y).swapaxes(0, 1)
