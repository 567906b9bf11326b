"""A layer with further options: what stays, what begins anew, and what is refused."""

import pytest
import torch
from torch.nn.utils import parametrizations

import tidegate as tg
from tidegate.errors import InputError
from tidegate.nn import Recurrent


def test_parameters_stay_but_for_those_that_the_option_initialises():
    layer = tg.nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2, dtype=torch.float64)
    new = layer.with_options(forget_bias=2.0)
    assert type(new) is tg.nn.LSTM
    assert str(new) == "LSTM(3, 4, proj_size=2, num_layers=2, bidirectional=True, forget_bias=2.0)"
    for name, value in layer.named_parameters():
        same = torch.equal(value, new.get_parameter(name))
        assert same != name.startswith("bias")
    assert torch.equal(new.bias_ih_l1_reverse[4:8] + new.bias_hh_l1_reverse[4:8], torch.full((4,), 2.0).double())
    assert torch.equal(new.bias_ih_l0[:4], layer.bias_ih_l0[:4])


def test_the_old_layer_is_left_alone():
    layer = tg.nn.GRU(3, 4)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    layer.with_options(chrono=20, layer_norm=True, state_clip=1.0)
    assert str(layer) == "GRU(3, 4)"
    assert layer.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_options_that_exclude_each_other_take_turns():
    layer = tg.nn.LSTM(3, 4, forget_bias=1.0, zoneout={"c": 0.2})
    assert str(layer.with_options(chrono=9)) == "LSTM(3, 4, zoneout={'c': 0.2}, chrono=9)"
    with pytest.raises(InputError, match="exclude"):
        layer.with_options(chrono=9, forget_bias=1.0)


def test_a_norm_that_is_there_stays():
    torch.manual_seed(0)
    layer = tg.nn.LSTM(3, 4, layer_norm=True)
    with torch.no_grad():
        layer.norm_ih_l0.fill_(0.5)
    new, x = layer.with_options(state_clip=100.0), torch.randn(5, 2, 3)
    assert torch.equal(new.norm_ih_l0, layer.norm_ih_l0)
    assert torch.allclose(new(x)[0], layer(x)[0])
    with pytest.raises(InputError, match="layer norm already"):
        new.with_options(layer_norm=True)


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"state_clip": 0.3}, {"zoneout": 0.5}])
def test_it_computes_what_a_new_layer_with_these_values_does(options):
    torch.manual_seed(0)
    layer, x = Recurrent("mgu", 3, 4), torch.randn(6, 2, 3)
    new = layer.with_options(**options)
    other = Recurrent("mgu", 3, 4, **options)
    other.load_state_dict(new.state_dict())
    assert torch.equal(new.eval()(x)[0], other.eval()(x)[0])
    assert torch.equal(new.weight_hh_l0, layer.weight_hh_l0)
    new(x)[0].sum().backward()
    assert new.weight_ih_l0.grad.abs().sum() > 0


def test_parametrized_layers_are_refused():
    layer = parametrizations.spectral_norm(tg.nn.RNN(3, 4), "weight_hh_l0")
    with pytest.raises(InputError, match="parametrized"):
        layer.with_options(orthogonal=True)
