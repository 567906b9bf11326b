"""Weights gate by gate: the pieces of the table, under the names that a cell has for its gates."""

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate import zoo
from tidegate.convert import dump, load
from tidegate.errors import InputError

I, H = 3, 4


def drawn(layer):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.5)
    return layer


def same(one, other):
    there, back = one.state_dict(), other.state_dict()
    return there.keys() == back.keys() and all(torch.equal(there[name], back[name]) for name in there)


@pytest.mark.parametrize("name", [n for n in zoo.CELLS if not any(m.mirror for m in zoo.find(n).graph.matrices)])
def test_pieces_of_every_cell_come_back_to_the_bit(name):
    inputs = H if zoo.find(name).graph.input_axis == "H" else I
    widths = {"widths": {"S": 2}} if "S" in zoo.find(name).graph.own_axes else {}
    options = {"num_layers": 1 if zoo.find(name).graph.given else 2, "learn_initial_state": True, **widths}
    if inputs == I:
        options["bidirectional"] = True
    layer = drawn(tg.nn.Recurrent(name, inputs, H, **options))
    back = tg.nn.Recurrent(name, inputs, H, **options)
    load(back, "gates", dump(layer, "gates"))
    assert same(layer, back)


@pytest.mark.parametrize("options", [{"proj_size": 2}, {"bias": False}, {"layer_norm": True}, {"dtype": torch.float64}])
def test_pieces_of_layers_with_options(options):
    layer, back = drawn(tg.nn.LSTM(I, H, **options)), tg.nn.LSTM(I, H, **options)
    load(back, "gates", dump(layer, "gates"))
    assert same(layer, back)


def test_pieces_are_named_by_source_and_gate():
    layer = drawn(tg.nn.PeepholeLSTM(I, H, learn_initial_state=True))
    pieces = dump(layer, "gates")
    names = [f"{source}.{gate}" for source in "WUbd" for gate in "ifgo"]
    assert {*pieces} == {*names, "p.i", "p.f", "p.o", "initial.h", "initial.c"}
    assert np.array_equal(pieces["U.f"], layer.weight_hh_l0[H : 2 * H].detach())
    assert np.array_equal(pieces["initial.c"], layer.initial_c_l0.detach())


def test_the_equations_with_pieces_are_those_of_the_cell():
    """A GRU whose open gate writes, written with NumPy from the pieces that were loaded."""
    rng = np.random.default_rng(0)
    pieces = {f"W.{gate}": rng.normal(size=(H, I)) for gate in "rzn"} | {
        f"U.{gate}": rng.normal(size=(H, H)) for gate in "rzn"
    }
    pieces |= {f"b.{gate}": rng.normal(size=H) for gate in "rzn"} | {"initial.h": rng.normal(size=H)}
    layer = tg.nn.GRU(I, H, update="write", learn_initial_state=True, dtype=torch.float64)
    load(layer, "gates", pieces)
    x, h, outputs = rng.normal(size=(6, I)), pieces["initial.h"], []
    for row in x:
        r, z = (1 / (1 + np.exp(-pieces[f"W.{g}"] @ row - pieces[f"U.{g}"] @ h - pieces[f"b.{g}"])) for g in "rz")
        n = np.tanh(pieces["W.n"] @ row + r * (pieces["U.n"] @ h) + pieces["b.n"])
        h = (1 - z) * h + z * n
        outputs.append(h)
    with torch.no_grad():
        assert np.abs(layer(torch.from_numpy(x))[0].numpy() - np.stack(outputs)).max() < 1e-12


def test_layers_are_a_list_and_directions_a_pair():
    layer = drawn(tg.nn.LSTM(I, H, num_layers=2, bidirectional=True))
    (forward, backward), (_, last) = dump(layer, "gates")
    assert np.array_equal(forward["W.i"], layer.weight_ih_l0[:H].detach())
    assert np.array_equal(backward["b.o"], layer.bias_ih_l0_reverse[3 * H :].detach())
    assert last["W.i"].shape == (H, 2 * H)
    single = tg.nn.LSTM(I, H)
    for form in (forward, [forward], [[forward]]):
        load(single, "gates", form)
        assert torch.equal(single.weight_hh_l0, layer.weight_hh_l0)


def test_what_is_left_out_is_zero_and_not_what_was_there():
    layer = drawn(tg.nn.PeepholeLSTM(I, H, learn_initial_state=True))
    pieces = {name: value for name, value in dump(layer, "gates").items() if name[0] in "WUb"}
    load(layer, "gates", pieces)
    assert layer.bias_ih_l0.any()
    assert not any(value.any() for value in (layer.bias_hh_l0, layer.p_i_l0, layer.initial_c_l0))


PIECES = dump(drawn(tg.nn.LSTM(I, H)), "gates")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"W.i": None}, "there is W of some gates, but not W.i"),
        ({f"U.{gate}": None for gate in "ifgo"}, "without U.f, U.g, U.i, U.o"),
        ({"b.f": None}, "there is b of some gates, but not b.f"),
        ({"W.c": np.ones((H, I))}, "no piece 'W.c'"),
        ({"p.i": np.ones(H)}, "no piece 'p.i'"),
        ({"initial.h": np.ones(H)}, "learn_initial_state=True"),
        ({"W.i": np.ones((I, H))}, r"expected W.i of shape \(4, 3\), got \(3, 4\)"),
        ({"b.i": np.ones((1, H))}, r"expected b.i of shape \(4,\)"),
        ({"nonsense": np.ones(1)}, "no piece 'nonsense'"),
    ],
)
def test_leftovers_and_gaps_are_refused_by_name_and_nothing_changes(changes, says):
    layer = drawn(tg.nn.LSTM(I, H))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    pieces = {name: value for name, value in {**PIECES, **changes}.items() if value is not None}
    with pytest.raises(InputError, match=says):
        load(layer, "gates", pieces)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


@pytest.mark.parametrize("weights", [3, [], [PIECES, PIECES], [3], [[PIECES, PIECES]], "W.i", np.ones(3)])
def test_another_form_is_refused(weights):
    with pytest.raises(InputError) as caught:
        load(tg.nn.LSTM(I, H), "gates", weights)
    assert caught.value.code == "CONVERT_INPUT"
    with pytest.raises(InputError):
        load(tg.nn.LSTM(I, H, bidirectional=True), "gates", PIECES)


def test_zeros_for_what_a_layer_does_not_have_are_no_leftovers():
    layer = tg.nn.LSTM(I, H)
    load(layer, "gates", {**PIECES, "p.i": np.zeros(H), "initial.h": np.zeros(H)})
    assert np.array_equal(layer.weight_ih_l0[:H].detach(), PIECES["W.i"])
