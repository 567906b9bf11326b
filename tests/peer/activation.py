"""Cells that differ from the zoo's in activations: ours against the framework that has these activations."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

import tidegate as tg
from tests.peer.case import B, Case, H, I, T
from tests.reference.compare import relative_error
from tidegate.convert import dump, load
from tidegate.convert.activation import JAX, KERAS, Activation
from tidegate.convert.structure import graph_of
from tidegate.runtime.path import eager_only

os.environ.setdefault("KERAS_BACKEND", "torch")

HARD2, HARD3 = Activation("hard_sigmoid", (0.2, 0.5)), Activation("hard_sigmoid", (1 / 6, 0.5))
SIGMOID, TANH, LINEAR, RELU, SOFTSIGN = map(Activation, ("sigmoid", "tanh", "linear", "relu", "softsign"))
ODD = (
    Activation("hard_sigmoid", (0.3, 0.4)),
    Activation("scaled_tanh", (1.7159, 2 / 3)),
    Activation("affine", (0.5, 0.1)),
)
ELU, LEAKY = Activation("elu", (0.7,)), Activation("leaky_relu", (0.02,))
X = np.random.default_rng(3).normal(size=(T, B, I)).astype("float32")

CASES = [
    ("onnx", "lstm", (HARD2, TANH, TANH)),
    ("onnx", "lstm", (HARD3, TANH, LINEAR)),
    ("onnx", "lstm", ODD),
    ("onnx", "peepholelstm", (SIGMOID, LINEAR, TANH)),
    ("onnx", "cifg", (HARD2, RELU, LINEAR)),
    ("onnx", "gru", (HARD2, TANH)),
    ("onnx", "gru/before", (HARD3, SOFTSIGN)),
    ("onnx", "gru", (ODD[0], ELU)),
    ("onnx", "rnn", (LEAKY,)),
    ("onnx", "rnn", (Activation("softplus"),)),
    ("keras", "lstm", (HARD3, TANH, TANH)),
    ("keras", "lstm", (HARD2, SOFTSIGN, SOFTSIGN)),
    ("keras", "gru", (SIGMOID, LINEAR)),
    ("keras", "gru/before", (HARD2, KERAS["elu"])),
    ("keras", "rnn", (KERAS["leaky_relu"],)),
    ("linen", "lstm", (HARD3, SOFTSIGN, SOFTSIGN)),
    ("linen", "gru", (HARD3, TANH)),
]
KINDS = {"lstm": "LSTM", "gru": "GRU", "gru/before": "GRU", "rnn": "SimpleRNN"}


def drawn(layer: Any) -> Any:
    """Every parameter a number of its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 1.4 - 0.7)
    return layer.eval()


def layer_of(row: str, activations: tuple[Activation, ...], **options: Any) -> Any:
    """A layer of ours with these activations."""
    return drawn(tg.nn.Recurrent(graph_of(row, activations), I, H, **options))


def ours(layer: Any) -> np.ndarray:
    with torch.no_grad(), eager_only():  # to compile each of these cells would take a second
        return layer(torch.from_numpy(X))[0].numpy()


def errors(target: str, row: str, activations: tuple[Activation, ...], *, bidirectional: bool) -> tuple[float, float]:
    """Of ours dumped and run there, and of theirs loaded and run here; relative to the largest output.

    Raises:
        ImportError: the other side is not installed.
    """
    layer = layer_of(row, activations, bidirectional=bidirectional)
    theirs, output = SIDES[target](layer, row, activations)
    back = layer_of(row, activations, bidirectional=bidirectional)
    torch.nn.init.zeros_(back.weight_hh_l0)
    load(back, target, theirs)
    expected = torch.from_numpy(np.array(output))
    there, here = (relative_error(torch.from_numpy(ours(one)), expected) for one in (layer, back))
    return float(there), float(here)


def onnx_side(layer: Any, row: str, activations: tuple[Activation, ...]) -> tuple[Any, np.ndarray]:
    """A model with the node that was dumped, and what onnxruntime computes with it."""
    from tests.peer.onnx_side import _run, model

    del activations
    case = Case("onnx", row, 1, layer.bidirectional, dtype="float32")
    made = model(case, dump(layer, "onnx"))
    return made, _run(case, made, X)


def keras_layer(kind: str, *, bidirectional: bool, **options: Any) -> Any:
    """A built layer of Keras."""
    from keras import layers

    made = getattr(layers, kind)(H, return_sequences=True, **options)
    made = layers.Bidirectional(made) if bidirectional else made
    made.build((None, None, I))
    return made


def keras_side(layer: Any, row: str, activations: tuple[Activation, ...]) -> tuple[Any, np.ndarray]:
    """A layer of Keras with the arrays that were dumped, and what it computes."""
    import tidegate.keras as tk

    names = {function: getattr(tk, name, name) for name, function in KERAS.items()}
    options: dict[str, Any] = {"activation": names[activations[-1]]}
    if len(activations) > 1:
        options["recurrent_activation"] = names[activations[0]]
    if row == "gru/before":
        options["reset_after"] = False
    made = keras_layer(KINDS[row], bidirectional=layer.bidirectional, **options)
    made.set_weights(dump(layer, "keras")[0])
    return [made], np.asarray(made(X.swapaxes(0, 1)).detach()).swapaxes(0, 1)


def linen_side(layer: Any, row: str, activations: tuple[Activation, ...]) -> tuple[Any, np.ndarray]:
    """Variables of Flax, and what its cells compute with them."""
    import jax
    from flax import linen

    names = {function: name for name, function in JAX.items()}
    functions = {"gate_fn": activations[0], "activation_fn": activations[-1]}
    options = {name: getattr(jax.nn, names[one], jax.numpy.tanh) for name, one in functions.items()}
    rnns = [linen.RNN(getattr(linen, f"{KINDS[row]}Cell")(H, **options), time_major=True)]
    if layer.bidirectional:
        rnns.append(linen.RNN(getattr(linen, f"{KINDS[row]}Cell")(H, **options), time_major=True))
    module = linen.Bidirectional(*rnns, time_major=True) if layer.bidirectional else rnns[0]
    variables = dump(layer, "linen")
    return variables, np.asarray(module.apply(variables[0], X))


SIDES = {"onnx": onnx_side, "keras": keras_side, "linen": linen_side}
