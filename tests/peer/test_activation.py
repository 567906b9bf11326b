"""Cells that differ from the zoo's in activations and names alone, run by frameworks that have these activations."""

import pytest

import tidegate as tg
from tests.peer.activation import (
    CASES,
    ELU,
    HARD2,
    HARD3,
    LEAKY,
    ODD,
    RELU,
    SIDES,
    SIGMOID,
    TANH,
    errors,
    keras_layer,
    layer_of,
)
from tests.peer.case import H, I
from tests.reference import tolerance
from tidegate.convert import dump, load
from tidegate.convert.activation import KERAS, Activation
from tidegate.convert.found import usual
from tidegate.convert.structure import graph_of, identify
from tidegate.convert.table import GROUPS
from tidegate.errors import EmitError, InputError, TidegateWarning

pytestmark = [
    pytest.mark.filterwarnings("ignore:the arrays do not say it:tidegate.errors.TidegateWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),  # Keras
]


# Every activation is found again in the graph that it makes, whatever was made of it.


@pytest.mark.parametrize("activation", [*KERAS.values(), *ODD, ELU, LEAKY], ids=str)
@pytest.mark.parametrize("row", GROUPS)
def test_an_activation_is_known_by_its_values(row, activation):
    for k in range(len(GROUPS[row])):
        activations = (*usual(row)[:k], activation, *usual(row)[k + 1 :])
        found = identify(graph_of(row, activations))
        assert found.row == row
        assert tuple(found.activations[gates.split()[0]] for gates in GROUPS[row]) == activations


@pytest.mark.parametrize("bidirectional", [False, True], ids=["one way", "both ways"])
@pytest.mark.parametrize(("target", "row", "activations"), CASES)
def test_the_other_side_computes_the_same(target, row, activations, bidirectional):
    if target == "linen" and bidirectional:
        pytest.skip("it takes seconds to compile, and benchmarks/check_convert.py runs it")
    try:
        there, here = errors(target, row, activations, bidirectional=bidirectional)
    except ImportError as error:
        pytest.skip(f"the other side is not installed: {error.name}")
    assert max(there, here) <= tolerance.CONVERT_FLOAT32


@pytest.mark.parametrize(("target", "row", "activations"), [case for case in CASES if case[0] != "linen"])
def test_a_layer_with_other_activations_does_not_take_the_weights(target, row, activations):
    try:
        theirs, _ = SIDES[target](layer_of(row, activations), row, activations)
    except ImportError as error:
        pytest.skip(f"the other side is not installed: {error.name}")
    with pytest.raises(InputError, match="activation") as caught:
        load(layer_of(row, usual(row)), target, theirs)
    assert caught.value.code == "CONVERT_SETTING"


def test_hard_sigmoid_of_onnx_is_that_of_keras_2_unless_it_says_otherwise():
    (node,) = dump(layer_of("gru", (HARD2, TANH)), "onnx")
    for name in ("activation_alpha", "activation_beta"):
        del node.attributes[name]
    load(layer_of("gru", (HARD2, TANH)), "onnx", [node])
    with pytest.raises(InputError, match=r"activations hard_sigmoid_keras2, tanh, .* must be hard_sigmoid, tanh"):
        load(layer_of("gru", (HARD3, TANH)), "onnx", [node])


def test_an_activation_of_somebody_s_own_is_not_taken_for_one_of_the_same_name():
    def tanh(v):
        return v * 0.5

    pytest.importorskip("keras")
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
