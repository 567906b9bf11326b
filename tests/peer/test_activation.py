"""Cells that differ from the zoo's in activations and names alone, run by frameworks that have these activations."""

import os

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.peer.case import B, Case, H, I, T
from tests.reference import tolerance
from tidegate.convert import dump, load
from tidegate.convert.activation import JAX, KERAS, Activation
from tidegate.convert.structure import graph_of, identify
from tidegate.convert.table import GROUPS
from tidegate.errors import EmitError, InputError, TidegateWarning
from tidegate.runtime.path import eager_only

os.environ.setdefault("KERAS_BACKEND", "torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:the arrays do not say it:tidegate.errors.TidegateWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # Keras
]

HARD2, HARD3 = Activation("hard_sigmoid", (0.2, 0.5)), Activation("hard_sigmoid", (1 / 6, 0.5))
SIGMOID, TANH, LINEAR, RELU = map(Activation, ("sigmoid", "tanh", "linear", "relu"))
ODD = (
    Activation("hard_sigmoid", (0.3, 0.4)),
    Activation("scaled_tanh", (1.7159, 2 / 3)),
    Activation("affine", (0.5, 0.1)),
)
ELU, LEAKY = Activation("elu", (0.7,)), Activation("leaky_relu", (0.02,))
X = np.random.default_rng(3).normal(size=(T, B, I)).astype("float32")


def drawn(layer):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) * 1.4 - 0.7)
    return layer.eval()


def layer_of(row, activations, **options):
    return drawn(tg.nn.Recurrent(graph_of(row, activations), I, H, **options))


def ours(layer):
    with torch.no_grad(), eager_only():  # to compile each of these cells would take a second
        return layer(torch.from_numpy(X))[0].numpy()


def near(one, other):
    return np.abs(one - other).max() <= tolerance.CONVERT_FLOAT32 * np.abs(other).max()


# Every activation is found again in the graph that it makes, whatever was made of it.


@pytest.mark.parametrize("activation", [*KERAS.values(), *ODD, ELU, LEAKY], ids=str)
@pytest.mark.parametrize("row", GROUPS)
def test_an_activation_is_known_by_its_values(row, activation):
    usual = (SIGMOID, TANH, TANH)[-len(GROUPS[row]) :] if row != "rnn" else (TANH,)
    for k in range(len(usual)):
        activations = (*usual[:k], activation, *usual[k + 1 :])
        found = identify(graph_of(row, activations))
        assert found.row == row
        assert tuple(found.activations[gates.split()[0]] for gates in GROUPS[row]) == activations


# ONNX.

ONNX_CASES = [
    ("lstm", (HARD2, TANH, TANH)),
    ("lstm", (HARD3, TANH, LINEAR)),
    ("lstm", ODD),
    ("peepholelstm", (SIGMOID, LINEAR, TANH)),
    ("cifg", (HARD2, RELU, LINEAR)),
    ("gru", (HARD2, TANH)),
    ("gru/before", (HARD3, Activation("softsign"))),
    ("gru", (ODD[0], ELU)),
    ("rnn", (LEAKY,)),
    ("rnn", (Activation("softplus"),)),
]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(
    ("row", "activations"), ONNX_CASES, ids=lambda part: part if isinstance(part, str) else "-".join(map(str, part))
)
def test_onnxruntime_computes_the_same(row, activations, bidirectional):
    pytest.importorskip("onnxruntime")
    from tests.peer.onnx_side import _run, model

    layer = layer_of(row, activations, bidirectional=bidirectional, num_layers=2)
    case = Case("onnx", row, 2, bidirectional, dtype="float32")
    made = model(case, dump(layer, "onnx"))
    assert near(_run(case, made, X), ours(layer))
    back = layer_of(row, activations, bidirectional=bidirectional, num_layers=2)
    torch.nn.init.zeros_(back.weight_hh_l1)
    load(back, "onnx", made)
    assert near(ours(back), ours(layer))
    plain = tg.nn.Recurrent(row.replace("peepholelstm", "v"), I, H, num_layers=2, bidirectional=bidirectional)
    with pytest.raises(InputError, match="has the activations"):
        load(plain, "onnx", made)


def test_hard_sigmoid_of_onnx_is_that_of_keras_2_unless_it_says_otherwise():
    (node,) = dump(layer_of("gru", (HARD2, TANH)), "onnx")
    for name in ("activation_alpha", "activation_beta"):
        del node.attributes[name]
    load(layer_of("gru", (HARD2, TANH)), "onnx", [node])
    with pytest.raises(InputError, match=r"activations hard_sigmoid_keras2, tanh, .* must be hard_sigmoid, tanh"):
        load(layer_of("gru", (HARD3, TANH)), "onnx", [node])


# Keras.


def keras_layer(kind, bidirectional, **options):
    layers = pytest.importorskip("keras").layers
    made = getattr(layers, kind)(H, return_sequences=True, **options)
    made = layers.Bidirectional(made) if bidirectional else made
    made.build((None, None, I))
    return made


def keras_run(made):
    return np.asarray(made(X.swapaxes(0, 1)).detach()).swapaxes(0, 1)


KERAS_CASES = [
    ("lstm", "LSTM", {"activation": "tanh", "recurrent_activation": "hard_sigmoid"}),
    ("lstm", "LSTM", {"activation": "softsign", "recurrent_activation": "hard_sigmoid_keras2"}),
    ("gru", "GRU", {"activation": "linear", "recurrent_activation": "sigmoid"}),
    ("gru/before", "GRU", {"activation": "elu", "recurrent_activation": "hard_sigmoid_keras2", "reset_after": False}),
    ("rnn", "SimpleRNN", {"activation": "leaky_relu"}),
]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("row", "kind", "options"), KERAS_CASES)
def test_keras_computes_the_same(row, kind, options, bidirectional):
    pytest.importorskip("keras")
    import tidegate.keras as tk

    given = {name: getattr(tk, str(value), value) for name, value in options.items()}
    names = [options[name] for name in ("recurrent_activation", "activation") if name in options]
    activations = tuple(KERAS[name] for name in names)
    activations += activations[-1:] * (len(GROUPS[row]) - len(activations))  # Keras has one for g and h
    layer, theirs = layer_of(row, activations, bidirectional=bidirectional), keras_layer(kind, bidirectional, **given)
    theirs.set_weights(dump(layer, "keras")[0])
    assert near(keras_run(theirs), ours(layer))
    back = layer_of(row, activations, bidirectional=bidirectional)
    torch.nn.init.zeros_(back.weight_hh_l0)
    load(back, "keras", [theirs])
    assert near(ours(back), ours(layer))
    plain = {"lstm": tg.nn.LSTM, "rnn": tg.nn.RNN}.get(row, tg.nn.GRU)
    reset = {"reset": "before"} if row == "gru/before" else {}
    with pytest.raises(InputError, match="activation='"):
        load(plain(I, H, bidirectional=bidirectional, **reset), "keras", [theirs])


def test_an_activation_of_somebody_s_own_is_not_taken_for_one_of_the_same_name():
    def tanh(v):
        return v * 0.5

    theirs = keras_layer("LSTM", bidirectional=False, activation=tanh)
    with pytest.raises(InputError, match="your own tanh"):
        load(tg.nn.LSTM(I, H), "keras", [theirs])


# What bare arrays do not say.

KERAS_USUAL = {"activation": "tanh", "recurrent_activation": "sigmoid"}


def test_arrays_of_keras_get_a_warning_until_their_activations_are_said():
    layer, arrays = tg.nn.LSTM(I, H), dump(tg.nn.LSTM(I, H), "keras")
    with pytest.warns(
        TidegateWarning, match="assumed recurrent_activation='sigmoid' and activation='tanh'.*before 2.3"
    ):
        load(layer, "keras", arrays)
    load(layer, "keras", arrays, activation=KERAS_USUAL)  # a warning would be an error here
    load(layer, "keras", tg.nn.LSTM(I, H))


@pytest.mark.parametrize(
    ("source", "stated", "says"),
    [
        ("keras", {"recurrent_activation": "hard_sigmoid_keras2"}, "but LSTM computes sigmoid"),
        ("keras", {"recurrent_activation": "hard_sigmoid"}, "but LSTM computes sigmoid"),
        ("keras", {"recurrent_activation": "sigmoidal"}, "there is no activation 'sigmoidal'"),
        ("keras", {"gate_fn": "sigmoid"}, "has recurrent_activation, activation, not 'gate_fn'"),
        ("linen", {"gate_fn": "hard_sigmoid"}, "but LSTM computes sigmoid"),
        ("onnx", {"activations": "Sigmoid"}, "no setting of an activation that its arrays do not carry"),
        ("torch", {"mode": "LSTM"}, "no setting of an activation"),
    ],
)
def test_activations_that_are_said_and_are_not_those_of_the_layer(source, stated, says):
    layer = tg.nn.LSTM(I, H)
    with pytest.raises(InputError, match=says):
        load(layer, source, dump(layer, source), activation=stated)


def test_two_hard_sigmoids_are_told_apart():
    layer = layer_of("lstm", (HARD2, TANH, TANH))
    arrays = dump(layer, "keras")
    load(layer, "keras", arrays, activation={**KERAS_USUAL, "recurrent_activation": "hard_sigmoid_keras2"})
    with pytest.raises(InputError, match=r"recurrent_activation='hard_sigmoid'.*computes hard_sigmoid_keras2"):
        load(layer, "keras", arrays, activation={**KERAS_USUAL, "recurrent_activation": "hard_sigmoid"})


@pytest.mark.filterwarnings("default:the arrays do not say it:tidegate.errors.TidegateWarning")
@pytest.mark.parametrize("target", ["keras", "linen"])
def test_dump_says_what_the_arrays_do_not(target):
    with pytest.warns(TidegateWarning, match="make the .* with .*='hard_sigmoid'"):
        dump(layer_of("lstm", (HARD3, TANH, TANH)), target)


@pytest.mark.parametrize(
    ("activations", "target", "says"),
    [
        ((HARD2, TANH, TANH), "torch", "no activation hard_sigmoid_keras2, which .* has for i f o — keras, onnx can"),
        ((HARD2, TANH, TANH), "linen", "keras, onnx can hold it"),
        ((SIGMOID, TANH, RELU), "keras", "g tanh, h relu — onnx can hold it"),
        ((Activation("silu"), TANH, TANH), "onnx", "no activation silu — keras, linen, nnx, nnx/optimized can hold it"),
        (ODD, "keras", "onnx can hold it"),
    ],
)
def test_activations_that_the_other_side_does_not_have(activations, target, says):
    with pytest.raises(EmitError, match=says):
        dump(layer_of("lstm", activations), target)


# Flax.


@pytest.mark.parametrize(("name", "kind"), [("hard_sigmoid", "LSTMCell"), ("hard_sigmoid", "GRUCell")])
def test_flax_computes_the_same(name, kind):
    pytest.importorskip("flax")
    import jax
    from flax import linen

    row = {"LSTMCell": "lstm", "GRUCell": "gru"}[kind]
    layer = layer_of(row, (JAX[name], JAX["soft_sign"], JAX["soft_sign"])[: len(GROUPS[row])])
    cell = getattr(linen, kind)(H, gate_fn=getattr(jax.nn, name), activation_fn=jax.nn.soft_sign)
    theirs = linen.RNN(cell, time_major=True).apply(dump(layer, "linen")[0], X)
    assert near(np.asarray(theirs), ours(layer))
