"""Every option of a layer against every framework: what evaluation computes with is handed on or refused by name."""

import pytest
import torch

import tidegate as tg
from tidegate.convert import dump, load
from tidegate.convert.transfer import CONTAINERS
from tidegate.errors import EmitError, InputError
from tidegate.option import OPTIONS

pytestmark = pytest.mark.filterwarnings("ignore:the arrays of keras do not say:tidegate.errors.TidegateWarning")

VALUES = {  # of each option, each of which must change something in training, in evaluation or at the beginning
    "chrono": [50.0],
    "forget_bias": [1.0],
    "heads": [2],
    "input_dropout": [0.5],
    "layer_norm": [True],
    "learn_initial_state": [True],
    "orthogonal": [True],
    "rank": [2],
    "recurrent_dropout": [0.5],
    "semi_tied": [True],
    "saved_activations": ["bfloat16"],
    "spectral": [0.3],
    "state_clip": [0.1, {"c": 0.1}, {"h": 0.1}],
    "weight_dropout": [0.5],
    "zoneout": [0.5, {"h": 0.5}, {"c": 0.5}],
}
PARAMETERS = ("heads", "learn_initial_state", "layer_norm", "rank", "semi_tied")  # options that bring parameters
KINDS = {"lstm": tg.nn.LSTM, "gru": tg.nn.GRU, "rnn": tg.nn.RNN}
CASES = [
    (target, kind, name, value)
    for target in CONTAINERS
    for kind in ("lstm", "gru", "rnn")
    for name, values in VALUES.items()
    for value in values
    if not (isinstance(value, dict) and "c" in value and kind != "lstm")
    and not (kind == "rnn" and name in ("chrono", "forget_bias"))
    and not (kind != "rnn" and name in ("heads", "layer_norm", "rank"))  # which are compiled anew
    and not (kind != "gru" and name == "semi_tied")  # as well, and a simple network has nothing to tie
    and not (target == "nnx/optimized" and kind != "lstm")
]


def drawn(layer):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
            if name.startswith("bias_hh"):
                parameter.zero_()  # one GRU of Flax has none
    return layer.eval()


def outputs(layer):
    with torch.no_grad():
        return layer(torch.linspace(-3, 3, 5 * 2 * 3).reshape(5, 2, 3))[0]


def test_every_option_is_here():
    assert VALUES.keys() | {"share"} == OPTIONS.keys()  # which needs two layers, and has a test of its own


@pytest.mark.parametrize(("target", "kind", "name", "value"), CASES)
def test_an_option_is_handed_on_refused_by_name_or_idle_in_evaluation(target, kind, name, value):
    layer = drawn(KINDS[kind](3, 4, **{name: value}))
    expected = outputs(layer)
    try:
        there = dump(layer, target)
    except EmitError as error:
        assert f"{name}=" in str(error)  # noqa: PT017  the other way out is no error
        plain = drawn(KINDS[kind](3, 4))
        own = plain.state_dict()
        held = {key: v for key, v in layer.state_dict().items() if key in own and v.shape == own[key].shape}
        plain.load_state_dict(held, strict=False)
        assert (outputs(plain) - expected).abs().max() > 1e-3, "it was refused and changes nothing"
        return
    back = KINDS[kind](3, 4, **({name: value} if name in PARAMETERS else {})).eval()
    load(back, target, there)
    assert torch.allclose(outputs(back), expected, atol=1e-6)


@pytest.mark.parametrize("target", [name for name in CONTAINERS if name != "nnx/optimized"])
def test_shared_layers_are_written_out_and_come_back(target):
    layer = drawn(tg.nn.GRU(4, 4, 2, share="layers"))
    x = torch.linspace(-3, 3, 5 * 2 * 4).reshape(5, 2, 4)
    for back in (tg.nn.GRU(4, 4, 2), tg.nn.GRU(4, 4, 2, share="layers")):
        load(back, target, dump(layer, target))
        assert torch.allclose(back(x)[0], layer(x)[0], atol=1e-6)


@pytest.mark.parametrize("target", [name for name in CONTAINERS if name != "nnx/optimized"])
def test_initial_states_that_were_never_learned_are_no_obstacle(target):
    layer = tg.nn.GRU(3, 4, learn_initial_state=True)
    torch.nn.init.zeros_(layer.bias_hh_l0)
    back = tg.nn.GRU(3, 4)
    load(back, target, dump(layer, target))
    assert torch.equal(back.weight_hh_l0, layer.weight_hh_l0)


def test_layer_norm_is_named_on_the_way_in_too():
    with pytest.raises(EmitError, match="torch has no layer_norm"):
        load(tg.nn.LSTM(3, 4, layer_norm=True), "torch", torch.nn.LSTM(3, 4))


def test_dropout_between_layers_is_no_part_of_the_weights():
    layer = drawn(tg.nn.LSTM(3, 4, num_layers=2, dropout=0.5))
    back = tg.nn.LSTM(3, 4, num_layers=2).eval()
    load(back, "torch", dump(layer, "torch"))
    assert torch.equal(outputs(back), outputs(layer))


def test_options_of_the_layer_that_is_loaded_into_stay_its_own():
    theirs = torch.nn.LSTM(3, 4)
    layer = tg.nn.LSTM(3, 4, zoneout=0.1, state_clip=2.0)
    load(layer, "torch", theirs)
    assert torch.equal(layer.weight_hh_l0, theirs.weight_hh_l0)
    assert layer.options.zoneout == 0.1


@pytest.mark.parametrize("bidirectional", [False, True])
def test_first_states_of_onnx_become_learned_ones(bidirectional):
    layer = drawn(tg.nn.LSTM(3, 4, num_layers=2, bidirectional=bidirectional, learn_initial_state=True))
    nodes = dump(layer, "onnx")
    assert nodes[0].weights["initial_c"].shape == (1 + bidirectional, 1, 4)
    back = tg.nn.LSTM(3, 4, num_layers=2, bidirectional=bidirectional, learn_initial_state=True).eval()
    load(back, "onnx", nodes)
    assert torch.equal(outputs(back), outputs(layer))
    with pytest.raises(InputError, match=r"no place for initial\.h, initial\.c .* learn_initial_state=True"):
        load(tg.nn.LSTM(3, 4, num_layers=2, bidirectional=bidirectional), "onnx", nodes)


def test_first_states_that_differ_from_sequence_to_sequence_are_refused():
    (node,) = dump(drawn(tg.nn.GRU(3, 4, learn_initial_state=True)), "onnx")
    node.weights["initial_h"] = node.weights["initial_h"].repeat(2, axis=1)
    load(tg.nn.GRU(3, 4, learn_initial_state=True), "onnx", [node])
    node.weights["initial_h"][0, 1] += 1
    with pytest.raises(InputError, match="not the same for all sequences"):
        load(tg.nn.GRU(3, 4, learn_initial_state=True), "onnx", [node])
