"""Networks that settle, rest at an offset or whistle, planted."""

import math

import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.explain import settle

RATE = 1000.0


def ring(units, kind=tg.nn.RNN, gain=3.0):
    """A ring of units, each of which hands its value on, the last one with the other sign: period 2 * units."""
    layer = kind(1, units)
    hand_on = torch.eye(units).roll(1, 0)
    hand_on[0] *= -1
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        if kind is tg.nn.LSTM:  # i and o open, f shut: h' = tanh(tanh(gain R h))
            layer.bias_ih_l0.copy_(torch.tensor([20.0, -20.0, 0.0, 20.0]).repeat_interleave(units))
            layer.weight_hh_l0[2 * units : 3 * units] = gain * hand_on
            layer.weight_ih_l0[2 * units] = 1.0
        else:
            layer.weight_hh_l0.copy_(gain * hand_on)
            layer.weight_ih_l0[0] = 1.0
    return layer


class Decay(tg.Cell):
    """h' = d h + W x: it falls by 20 log10(1 / d) decibels a step."""

    gates = "a"
    matrices = {}
    biases = "W"

    def step(self, x, h):
        a = x.a
        return 0.9 * h + a


def test_a_linear_decay_takes_the_time_of_the_closed_form():
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(Decay, 1, 1, bias=False)
    found = settle(layer, seconds=1, rate=RATE)
    generator = torch.Generator().manual_seed(0)
    noise = 2 * torch.rand(100, 1, generator=generator, dtype=torch.float64) - 1
    h, loudest = 0.0, 0.0
    for value in (noise * layer.weight_ih_l0.detach().double()).flatten().tolist():
        h = 0.9 * h + value
        loudest = max(loudest, abs(h))
    steps = math.ceil(math.log(10 ** (-90 / 20) * loudest / abs(h)) / math.log(0.9))
    assert abs(found.seconds * RATE - steps) <= 1
    assert found.offset_level < -200
    assert found.period is None
    assert "settles to -90 dB" in found.sentence


@pytest.mark.parametrize("kind", [tg.nn.RNN, tg.nn.LSTM])
@pytest.mark.parametrize("units", [1, 2, 13])
def test_a_limit_cycle_has_its_period(kind, units):
    found = settle(ring(units, kind), seconds=1, rate=RATE)
    assert found.seconds is None
    assert found.period * RATE == pytest.approx(2 * units, rel=1e-6)
    assert found.rest_level > -10
    assert "limit cycle" in found.sentence
    assert f"{RATE / (2 * units):.4g} Hz" in found.sentence


def test_a_ring_below_its_gain_settles():
    found = settle(ring(4, tg.nn.LSTM, gain=0.5), seconds=1, rate=RATE)
    assert found.seconds < 0.2
    assert found.offset_level < -90


def test_an_offset_with_and_without_a_burst():
    layer = ring(3, tg.nn.LSTM, gain=0.5)
    with torch.no_grad():
        layer.bias_ih_l0[6:9] = 0.3
    found = settle(layer, seconds=1, rate=RATE)
    assert found.seconds is not None
    assert found.offset_level > -30
    assert found.offset == pytest.approx(found.idle)
    assert "with and without a burst" in found.sentence
    double = layer.double()
    with torch.no_grad():
        wanted = double(torch.zeros(500, 1, 1).double())[0][-1, 0]
    assert found.offset == pytest.approx(wanted.tolist(), abs=1e-12)


def test_a_latch_remembers_the_burst():
    layer = tg.nn.RNN(1, 1, bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.fill_(3.0)
        layer.weight_ih_l0.fill_(5.0)
    found = settle(layer, seconds=1, rate=RATE)
    assert abs(found.offset[0]) > 0.9
    assert found.idle == (0.0,)
    assert "the burst has left behind" in found.sentence


def test_chaos_has_no_period():
    torch.manual_seed(0)
    layer = tg.nn.RNN(1, 64, bias=False)
    torch.nn.init.normal_(layer.weight_hh_l0, std=3 / 8)
    found = settle(layer, seconds=4, rate=RATE)
    assert found.seconds is None
    assert found.period is None
    assert "without a period" in found.sentence


def test_a_slow_decay_asks_for_more_time():
    layer = tg.nn.RNN(1, 1, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.fill_(0.999)
        layer.weight_ih_l0.fill_(1.0)
    found = settle(layer, seconds=1, rate=RATE)
    assert found.seconds is None
    assert found.falling > 0
    assert "listen longer" in found.sentence
    longer = settle(layer, seconds=20, rate=RATE)
    assert longer.seconds == pytest.approx(math.log(10**-4.5) / math.log(0.999) / RATE, rel=0.3)


def test_models_around_a_layer_and_both_layouts():
    class Amplifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.head = torch.nn.LSTM(1, 8, batch_first=True), torch.nn.Linear(8, 1)

        def forward(self, x):
            return x + self.head(self.layer(x)[0])

    torch.manual_seed(0)
    found = settle(Amplifier(), seconds=0.5, rate=RATE)
    assert len(found.offset) == 1
    assert found.seconds < 0.5


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"seconds": 0}, "seconds is 0"),
        ({"seconds": math.inf}, "seconds is inf"),
        ({"rate": -1}, "rate is -1"),
        ({"rate": 1e9}, "more than"),
        ({"level": 3}, "level is 3"),
        ({"features": 0}, "features is 0"),
        ({"amplitude": "loud"}, "amplitude is 'loud'"),
    ],
)
def test_times_and_levels_that_make_no_sense_are_refused(asked, text):
    with pytest.raises(InputError, match=text):
        settle(tg.nn.LSTM(1, 4), **asked)


def test_what_has_no_silence_is_refused():
    with pytest.raises(InputError, match="from the end"):
        settle(tg.nn.LSTM(1, 4, bidirectional=True), 1, RATE)

    class Pooled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tg.nn.LSTM(1, 4)

        def forward(self, x):
            return self.layer(x)[0].mean(0)

    with pytest.raises(InputError, match="expected one for each of"):
        settle(Pooled(), 1, RATE)
    layer = tg.nn.RNN(1, 1, nonlinearity="relu", bias=False)
    torch.nn.init.constant_(layer.weight_hh_l0, 3.0)
    torch.nn.init.constant_(layer.weight_ih_l0, 1.0)
    with pytest.raises(InputError, match="not finite"):
        settle(layer, 1, RATE)
