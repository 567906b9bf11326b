"""Live objects of other frameworks: their settings are read, and what ours cannot do is refused."""

import os

import numpy as np
import pytest
import torch

import tidegate as tg
from tests.peer.case import Case, H, I
from tidegate.errors import InputError

os.environ.setdefault("KERAS_BACKEND", "torch")


def keras_layers():
    return pytest.importorskip("keras").layers


def built(layer):
    layer.build((None, None, I))
    return layer


def refused(layer, theirs, says):
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    with pytest.raises(InputError) as caught:
        tg.convert.load(layer, "onnx" if hasattr(theirs, "graph") else "keras", theirs)
    assert says in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize(
    ("ours", "kind", "options", "says"),
    [
        (tg.nn.GRU, "GRU", {"reset_after": False}, "reset_after=False"),
        (tg.nn.RNN, "SimpleRNN", {"activation": "relu"}, "activation='relu'"),
        (tg.nn.LSTM, "LSTM", {"recurrent_activation": "hard_sigmoid"}, "recurrent_activation='hard_sigmoid'"),
        (tg.nn.LSTM, "LSTM", {"go_backwards": True}, "go_backwards=True"),
    ],
)
def test_a_keras_layer_that_computes_something_else(ours, kind, options, says):
    refused(ours(I, H), [built(getattr(keras_layers(), kind)(H, **options))], says)


def test_a_keras_layer_that_is_not_recurrent():
    theirs = built(keras_layers().Dense(H))
    refused(tg.nn.LSTM(I, H), [theirs], "a recurrent layer of Keras")


def test_a_keras_layer_that_has_no_weights_yet():
    refused(tg.nn.LSTM(I, H), [keras_layers().LSTM(H)], "got 0 in all")


def test_a_bidirectional_that_adds():
    layers = keras_layers()
    theirs = built(layers.Bidirectional(layers.LSTM(H, return_sequences=True), merge_mode="sum"))
    refused(tg.nn.LSTM(I, H, bidirectional=True), [theirs], "merge_mode='sum'")


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
def test_states_and_seeds_of_keras_are_no_weights():
    layers, layer = keras_layers(), tg.nn.LSTM(I, H)
    theirs = layers.LSTM(H, stateful=True, dropout=0.5, recurrent_dropout=0.5, return_sequences=True)
    theirs(np.zeros((2, 3, I), np.float32))
    tg.convert.load(layer, "keras", [theirs])
    assert np.array_equal(layer.weight_ih_l0.detach().numpy().T, theirs.get_weights()[0])


def test_a_cell_in_the_general_layer_of_keras():
    layers, layer = keras_layers(), tg.nn.GRU(I, H)
    theirs = built(layers.RNN(layers.GRUCell(H)))
    tg.convert.load(layer, "keras", [theirs])
    refused(tg.nn.GRU(I, H), [built(layers.RNN(layers.GRUCell(H, reset_after=False)))], "reset_after=False")


def test_weights_that_a_model_of_onnx_does_not_hold():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.peer.onnx_side import model

    layer = tg.nn.GRU(I, H)
    theirs = model(Case("onnx", "gru"), tg.convert.dump(layer, "onnx"))
    theirs.graph.initializer.pop(1)  # W
    refused(layer, theirs, "not initializers of the model: W0")


def test_a_model_of_onnx_with_fewer_recurrent_nodes():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.peer.onnx_side import model

    theirs = model(Case("onnx", "gru"), tg.convert.dump(tg.nn.GRU(I, H), "onnx"))
    refused(tg.nn.GRU(I, H, num_layers=2), theirs, "each of 2 layer(s), got 1")


def test_one_node_of_a_model_of_onnx():
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from tests.peer.onnx_side import model

    there, layer = tg.nn.GRU(H, H, num_layers=2), tg.nn.GRU(H, H)
    theirs = model(Case("onnx", "gru", layers=2), tg.convert.dump(there, "onnx"))
    second = [proto for proto in theirs.graph.node if proto.op_type == "GRU"][1]
    tg.convert.load(layer, "onnx", [tg.convert.OnnxNode.read(second, theirs.graph.initializer)])
    assert torch.equal(layer.weight_ih_l0, there.weight_ih_l1)
    assert torch.equal(layer.bias_hh_l0, there.bias_hh_l1)


def test_without_onnx_a_node_is_read_and_a_model_is_not(monkeypatch):
    import sys
    import types

    from tidegate.errors import MissingError

    layer = tg.nn.GRU(I, H)
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    tg.convert.load(layer, "onnx", tg.convert.dump(layer, "onnx"))
    with pytest.raises(MissingError, match=r"tidegate\[onnx\]"):
        tg.convert.OnnxNode.read(types.SimpleNamespace(op_type="GRU"), [])
