"""Conversion where no other framework is needed: what is refused and how, and what is exact."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.utils import parametrizations

import tidegate as tg
from tidegate.convert import OnnxNode, dump, load
from tidegate.convert.table import FORMATS, ROWS
from tidegate.errors import EmitError, InputError, TidegateError

SIZES = (5, 6)
pytestmark = [  # what arrays do not say has tests of its own
    pytest.mark.filterwarnings("ignore:the arrays of keras do not say:tidegate.errors.TidegateWarning"),
    pytest.mark.filterwarnings("ignore:the arrays do not say it:tidegate.errors.TidegateWarning"),
]


def drawn(layer):
    """Every parameter a number of its own."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    return layer


def layer_of(cell, **options):
    return drawn(tg.nn.Recurrent(cell, *SIZES, **options))


def values(layer):
    return {name: value.clone() for name, value in layer.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def leaves(weights):
    if isinstance(weights, OnnxNode):
        weights = dict(weights.weights)
    if isinstance(weights, dict):
        return [leaf for name in sorted(weights) for leaf in leaves(weights[name])]
    return [leaf for part in weights for leaf in leaves(part)] if isinstance(weights, list) else [np.asarray(weights)]


def refusal(error, code, call, *arguments):
    with pytest.raises(error) as caught:
        call(*arguments)
    assert caught.value.code == code, caught.value
    assert caught.value.fix
    return str(caught.value)


# What is exact.


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("target", "cell"), [(t, cell) for t in FORMATS for cell in ROWS if ROWS[cell][0] in FORMATS[t]]
)
def test_weights_of_the_other_side_come_back_to_the_bit(target, cell, bias):
    layer = layer_of(cell, num_layers=2, bidirectional=True, bias=bias)
    with torch.no_grad():
        for name, value in layer.named_parameters():
            if name.startswith("p_") and target != "onnx":
                value.zero_()
            if name.startswith("bias_hh") and (target, cell.split("/")[0]) == ("nnx", "gru"):
                value[12:].zero_()
    there = dump(layer, target)
    back = tg.nn.Recurrent(cell, *SIZES, num_layers=2, bidirectional=True, bias=bias)
    load(back, target, there)
    again = dump(back, target)
    assert len(leaves(there)) == len(leaves(again)) > 0
    assert all(np.array_equal(a, b) for a, b in zip(leaves(there), leaves(again), strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
@pytest.mark.parametrize(
    ("target", "cell"),
    [
        ("torch", "lstm"),
        ("torch", "gru/write"),
        ("onnx", "peepholelstm"),
        ("onnx", "gru/before/write"),
        ("keras", "gru"),
    ],
)
def test_ours_come_back_to_the_bit_where_the_other_side_has_two_biases(target, cell, dtype):
    layer = layer_of(cell, num_layers=2, bidirectional=True).to(dtype)
    back = tg.nn.Recurrent(cell, *SIZES, num_layers=2, bidirectional=True, dtype=dtype)
    load(back, target, dump(layer, target))
    assert same(values(layer), values(back))


def test_bfloat16_travels_as_float32():
    layer = layer_of("lstm").bfloat16()
    weights = dump(layer, "keras")
    assert weights[0][0].dtype == np.float32
    back = tg.nn.LSTM(*SIZES, dtype=torch.bfloat16)
    load(back, "torch", dump(layer, "torch"))
    assert same(values(layer), values(back))


def test_numbers_are_rounded_to_the_dtype_of_the_layer():
    layer = layer_of("lstm").double()
    back = tg.nn.LSTM(*SIZES)
    load(back, "torch", layer)
    assert same(values(layer.float()), values(back))


@pytest.mark.parametrize("reset", ["after", "before"])
def test_an_update_gate_that_writes_is_one_that_keeps_with_the_opposite_sign(reset):
    keeps = drawn(tg.nn.GRU(*SIZES, num_layers=2, bidirectional=True, reset=reset, dtype=torch.float64))
    writes = tg.nn.GRU(*SIZES, num_layers=2, bidirectional=True, reset=reset, update="write", dtype=torch.float64)
    x = torch.randn(7, 3, 5, dtype=torch.float64)
    assert (writes(x)[0] - keeps(x)[0]).abs().max() > 1e-2
    load(writes, "onnx", keeps)
    assert torch.equal(writes.weight_ih_l1[6:12], -keeps.weight_ih_l1[6:12])
    assert torch.equal(writes.bias_hh_l0_reverse[6:12], -keeps.bias_hh_l0_reverse[6:12])
    assert (writes(x)[0] - keeps(x)[0]).abs().max() < 1e-14


def test_an_lstm_is_one_with_peepholes_that_are_zero():
    plain, peeps = drawn(tg.nn.LSTM(*SIZES)), drawn(tg.nn.PeepholeLSTM(*SIZES))
    load(peeps, "torch", plain)
    assert not peeps.p_i_l0.any()
    x = torch.randn(7, 3, 5)
    assert torch.allclose(plain(x)[0], peeps(x)[0], atol=1e-6)
    load(plain, "torch", peeps)


def test_a_layer_with_one_bias_sums_two():
    two = drawn(tg.nn.LSTM(*SIZES))
    one = tg.nn.Recurrent("np", *SIZES)
    load(one, "torch", two)
    assert torch.equal(one.bias_ih_l0, two.bias_ih_l0 + two.bias_hh_l0)
    load(two, "torch", one)
    assert not two.bias_hh_l0.any()
    assert torch.equal(one.bias_ih_l0, two.bias_ih_l0)


def test_what_is_dumped_is_the_callers_own():
    layer = layer_of("rnn")
    before = values(layer)
    for target in FORMATS:
        if "rnn" in FORMATS[target]:
            for leaf in leaves(dump(layer, target)):
                leaf[...] = 9
    assert same(before, values(layer))


def test_an_accelerated_layer_is_ours():
    model = torch.nn.Sequential(torch.nn.GRU(*SIZES))
    tg.accelerate(model)
    assert dump(model[0], "keras")[0][2].shape == (2, 18)


# What is refused, and that the message says who can.


@pytest.mark.parametrize(
    ("layer", "target", "code", "says"),
    [
        (layer_of("mgu"), "keras", "CONVERT_CELL", "no other framework has it"),
        (layer_of("gru/before"), "torch", "CONVERT_CELL", "keras, onnx can hold it"),
        (layer_of("gru/before"), "linen", "CONVERT_CELL", "keras, onnx can hold it"),
        (layer_of("cifg"), "keras", "CONVERT_CELL", "onnx can hold it"),
        (layer_of("lstm", proj_size=3), "keras", "CONVERT_CELL", "torch can hold it"),
        (layer_of("rnn"), "nnx/optimized", "CONVERT_CELL", "torch, keras, linen, nnx, onnx can hold it"),
        (layer_of("peepholelstm"), "torch", "CONVERT_VALUE", "no place for p.i, p.f, p.o of layer 0"),
        (layer_of("peepholelstm"), "keras", "CONVERT_VALUE", "onnx can hold it"),
        (layer_of("v"), "linen", "CONVERT_VALUE", "onnx can hold it"),
        (layer_of("gru"), "nnx", "CONVERT_VALUE", "d.n of layer 0"),
        (layer_of("gru/write"), "nnx", "CONVERT_VALUE", "torch, keras, linen, onnx can hold it"),
    ],
)
def test_what_the_other_side_cannot_hold(layer, target, code, says):
    assert says in refusal(EmitError, code, dump, layer, target)


def test_a_cell_is_known_by_its_equations_and_not_by_its_name():
    class LSTM(tg.Cell):
        gates = "i f g o"
        state = "h c"

        def step(self, x, h, c, U):
            i = tg.cell.sigmoid(x.i + U(h).i)
            f = tg.cell.sigmoid(x.f + U(h).f)
            g = tg.cell.tanh(x.g + U(h).g)
            o = tg.cell.sigmoid(x.o + U(h).o)
            c = f * c + i * g
            h = o * c
            return h, c

    assert "g tanh, h linear" in refusal(EmitError, "CONVERT_ACTIVATION", dump, layer_of(LSTM), "torch")


def test_who_asks_for_something_else():
    layer = layer_of("lstm")
    assert "torch, keras, linen" in refusal(InputError, "CONVERT_FORMAT", dump, layer, "tensorflow")
    assert "accelerate" in refusal(InputError, "CONVERT_LAYER", dump, torch.nn.LSTM(*SIZES), "keras")
    refusal(InputError, "CONVERT_LAYER", load, torch.nn.LSTMCell(*SIZES), "keras", [])


def onnx_node(**changes):
    (node,) = dump(layer_of("gru"), "onnx")
    return OnnxNode(node.kind, {**node.attributes, **changes}, node.weights)


def without(tree, name):
    return {key: value for key, value in tree.items() if key != name}


GRU_KERAS, GRU_TORCH = dump(layer_of("gru"), "keras"), dump(layer_of("gru"), "torch")
GRU_LINEN = dump(layer_of("gru"), "linen")[0]["params"]["cell"]


@pytest.mark.parametrize(
    ("cell", "source", "weights", "code", "says"),
    [
        ("gru", "keras", GRU_KERAS * 2, "CONVERT_LAYERS", "each of 1 layer(s), got 2"),
        ("gru", "keras", GRU_KERAS[0][0], "CONVERT_LAYERS", "got ndarray"),
        ("gru", "keras", [3], "CONVERT_INPUT", "get_weights"),
        ("gru", "keras", [GRU_KERAS[0] * 2], "CONVERT_NAMES", "got 6 in all"),
        ("lstm", "keras", GRU_KERAS, "CONVERT_SHAPE", "expected kernel of shape (5, 24), got (5, 18)"),
        ("gru/before", "keras", GRU_KERAS, "CONVERT_SHAPE", "expected bias of shape (18,), got (2, 18)"),
        ("lstm", "keras", [[np.ones((5, 24)), np.ones((6, 24)), np.ones(48)]], "CONVERT_SETTING", "CuDNNLSTM"),
        ("gru", "keras", [[np.ones((5, 18)), np.ones((6, 18)), np.ones(36)]], "CONVERT_SETTING", "CuDNNGRU"),
        ("gru", "onnx", "model.onnx", "CONVERT_INPUT", "tidegate.convert.read(path)"),
        ("gru", "torch", Path("model.pt"), "CONVERT_INPUT", "tidegate.convert.read(path)"),
        ("gru", "torch", without(GRU_TORCH, "weight_hh_l0"), "CONVERT_NAMES", "without weight_hh"),
        ("gru", "torch", {**GRU_TORCH, "weight_ih_l1": torch.zeros(1)}, "CONVERT_NAMES", "also has weight_ih_l1"),
        ("gru", "torch", torch.nn.LSTM(*SIZES), "CONVERT_SETTING", "mode='LSTM', but for this layer it must be 'GRU'"),
        ("rnn", "torch", torch.nn.RNN(*SIZES, nonlinearity="relu"), "CONVERT_SETTING", "RNN_RELU"),
        ("gru", "torch", [GRU_TORCH], "CONVERT_INPUT", "state_dict"),
        ("gru", "linen", [without(GRU_LINEN, "hn")], "CONVERT_NAMES", "without hn/bias, hn/kernel"),
        ("gru", "linen", [{**GRU_LINEN, "hx": {"kernel": 1}}], "CONVERT_NAMES", "with unknown hx/kernel"),
        ("gru", "linen", [{**GRU_LINEN, "step": 3}], "CONVERT_NAMES", "with unknown step/"),
        ("gru", "linen", [{"forward_rnn": {}, "backward_rnn": {}}], "CONVERT_NAMES", "1 direction(s)"),
        ("gru", "linen", [3], "CONVERT_INPUT", "nnx.state"),
        ("gru/before", "onnx", [onnx_node()], "CONVERT_SETTING", "linear_before_reset=1"),
        ("lstm", "onnx", [onnx_node()], "CONVERT_INPUT", "expected LSTM nodes, got GRU"),
        ("gru", "onnx", [onnx_node(direction="reverse")], "CONVERT_SETTING", "direction='reverse'"),
        ("gru", "onnx", [onnx_node(direction=b"bidirectional")], "CONVERT_SETTING", "our layer is forward"),
        ("gru", "onnx", [onnx_node(clip=3.0)], "CONVERT_SETTING", "clips"),
        ("gru", "onnx", [onnx_node(activations=[b"HardSigmoid", b"Tanh"])], "CONVERT_SETTING", "sigmoid_keras2, tanh"),
        ("lstm", "onnx", dump(layer_of("peepholelstm"), "onnx"), "CONVERT_VALUE", "load into a layer with peepholes"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_changed(cell, source, weights, code, says):
    layer = layer_of(cell)
    before = values(layer)
    assert says in refusal(InputError, code, load, layer, source, weights)
    assert same(before, values(layer))


def test_a_layer_without_bias_takes_biases_that_are_zero():
    layer, biased = layer_of("gru", bias=False), layer_of("gru")
    assert "with a bias" in refusal(InputError, "CONVERT_VALUE", load, layer, "keras", dump(biased, "keras"))
    with torch.no_grad():
        biased.bias_ih_l0.zero_()
        biased.bias_hh_l0.zero_()
    load(layer, "keras", dump(biased, "keras"))
    assert torch.equal(layer.weight_hh_l0, biased.weight_hh_l0)


def test_a_later_layer_that_does_not_fit_changes_nothing():
    layer = layer_of("gru", num_layers=2)
    before = values(layer)
    first, second = dump(layer_of("gru", num_layers=2), "keras")
    message = refusal(InputError, "CONVERT_SHAPE", load, layer, "keras", [first, [second[0].T, *second[1:]]])
    assert "layer 1 of keras" in message
    assert same(before, values(layer))


def test_a_parametrized_layer_can_be_read_and_not_loaded():
    layer = layer_of("gru")
    before = dump(layer, "keras")
    parametrizations.weight_norm(layer, "weight_hh_l0")
    assert np.allclose(dump(layer, "keras")[0][1], before[0][1], atol=1e-6)
    assert "weight_hh_l0" in refusal(InputError, "CONVERT_LAYER", load, layer, "keras", before)


def test_every_error_is_one_of_the_house():
    with pytest.raises(TidegateError, match="onnx"):
        dump(layer_of("cifg"), "torch")
