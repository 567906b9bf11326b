"""What layers keep and what is read of them, against loops over steps and closed forms."""

import math

import numpy as np
import pytest
import torch

import tidegate as tg
from tidegate.errors import InputError
from tidegate.explain.memory import memories
from tidegate.explain.probe import captured, probe
from tidegate.explain.readout import read_out
from tidegate.nn import Recurrent


class Net(torch.nn.Module):
    """A layer, read at its final state."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, torch.nn.Linear(layer.output_size, 1)

    def forward(self, x, **named):
        _, states = self.layer(x, **named)
        last = states if isinstance(states, torch.Tensor) else states[0]
        return self.head(torch.cat([*last[-1 - self.layer.bidirectional :]], -1))


def of(layer, x, **named):
    return memories(captured(probe(layer), x, **named)[1])


def with_biases(cell, **biases):
    """A layer whose gates have these values before their squashing, whatever it reads."""
    layer = Recurrent(cell, 2, 3).double()
    names = [block.name for block in layer.graph.matrices[0].blocks]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for gate, value in biases.items():
            layer.bias_ih_l0.view(len(names), 3)[names.index(gate)] = torch.tensor(value, dtype=torch.float64)
    return layer


def test_half_lives_of_constant_gates():
    life = tg.explain.half_life(with_biases("lstm", f=[0.0, 3.0, -2.0]), torch.randn(20, 4, 2))["(model).l0"]["c"]
    expected = [math.log(2) / math.log1p(math.exp(-b)) for b in (0.0, 3.0, -2.0)]
    assert life.gate == "f"
    assert life.units == pytest.approx(expected, rel=1e-12)
    assert life.quartiles == pytest.approx((expected[2], expected[0], expected[1]))
    assert life.longest == pytest.approx(expected[1])


def test_where_an_open_gate_writes_it_keeps_the_rest():
    life = tg.explain.half_life(with_biases("mgu", f=[-3.0, 0.0, 2.0]), torch.randn(9, 1, 2))["(model).l0"]["h"]
    assert life.units == pytest.approx([math.log(2) / math.log1p(math.exp(b)) for b in (-3.0, 0.0, 2.0)])


def test_a_sum_never_halves_and_an_rnn_has_no_carry():
    x = torch.randn(9, 1, 2)
    assert of(Recurrent("lstm1997", 2, 3), x)["(model).l0"].half_lives["c"].longest == math.inf
    assert of(Recurrent("rnn", 2, 3), x)["(model).l0"].half_lives == {}


def test_shares_of_shut_and_open_gates():
    memory = of(with_biases("lstm", f=[-4.0, 0.0, 4.0], o=[-4.0, -4.0, 0.0]), torch.randn(9, 2, 2))["(model).l0"]
    assert (memory.gates["f"].shut, memory.gates["f"].open) == (1 / 3, 1 / 3)
    assert (memory.gates["o"].shut, memory.gates["o"].open) == (2 / 3, 0)
    assert (memory.carries["c"].shut, memory.carries["c"].mean) == (1 / 3, pytest.approx(0.5))
    assert set(memory.saturated) == {"g"}


def test_a_gate_counts_as_shut_at_95_percent_of_the_steps():
    layer = with_biases("gru")
    with torch.no_grad():
        layer.weight_ih_l0[3:6, 0] = 10.0
    for ones, shut in ((1, 1.0), (2, 0.0)):
        x = torch.full((20, 1, 2), -1.0)
        x[:ones] = 1.0
        assert of(layer, x)["(model).l0"].gates["z"].shut == shut


@pytest.mark.parametrize("name", ["lstm", "gru/before", "mgu", "slstm", "scrn", "indrnn", "mingru", "fgr"])
def test_movement_and_gates_of_stacks_are_those_of_the_real_steps(name):
    torch.manual_seed(0)
    layer = Recurrent(name, 3, 4, 2, bidirectional=True, dtype=torch.float64)
    x, lengths, reset = torch.randn(7, 3, 3, dtype=torch.float64), [7, 4, 1], torch.zeros(7, 3, dtype=torch.bool)
    reset[3, 0] = True
    found = of(layer, x, lengths=lengths, reset=reset)
    trace = layer.trace(x, lengths=lengths, reset=reset)
    assert list(found) == ["(model).l0", "(model).l0_reverse", "(model).l1", "(model).l1_reverse"]
    for place, memory in found.items():
        end = place.rpartition(".")[2]
        for gate, measured in memory.gates.items():
            values = trace[f"{gate}_{end}"].detach()
            assert measured.mean == pytest.approx(values[~values.isnan()].mean().item())
        for state, moved in memory.moved.items():
            values = trace[f"{state}_{end}"].detach().numpy()
            order = range(7) if "reverse" not in end else range(6, -1, -1)
            changes = []
            for b in range(3):
                before = np.zeros(values.shape[-1])
                for t in (t for t in order if t < lengths[b]):
                    before = np.zeros_like(before) if reset[t, b] else before
                    changes.append(np.abs(values[t, b] - before))
                    before = values[t, b]
            mean = np.mean(changes, 0)
            assert np.allclose(moved / moved.sum(), mean / mean.sum(), rtol=1e-9)


def test_movement_is_relative_to_the_bounds_of_what_is_written():
    layer = with_biases("gru", z=[0.0] * 3, n=[0.5, 1.0, 2.0])
    memory = of(layer, torch.randn(1, 2, 2))["(model).l0"]
    assert memory.moved["h"] == pytest.approx([math.tanh(b) / 2 / 2 for b in (0.5, 1.0, 2.0)])


def test_saturation_counts_values_and_the_largest_state_is_seen():
    layer = with_biases("rnn", h=[5.0, 0.0, -5.0])
    memory = of(layer, torch.randn(4, 2, 2))["(model).l0"]
    assert memory.saturated == {"h": pytest.approx(2 / 3)}
    assert memory.largest == pytest.approx(math.tanh(5))


def test_layouts_are_measured_alike():
    torch.manual_seed(0)
    layer, turned = Recurrent("lstm", 3, 4), Recurrent("lstm", 3, 4, batch_first=True)
    turned.load_state_dict(layer.state_dict())
    x = torch.randn(6, 2, 3)
    own = of(layer, x, lengths=[6, 3])["(model).l0"]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [6, 3])
    for other in (of(turned, x.transpose(0, 1), lengths=[6, 3]), of(layer, packed)):
        assert other["(model).l0"].moved["h"] == pytest.approx(own.moved["h"], rel=1e-12)
        assert other["(model).l0"].gates["f"] == own.gates["f"]


def test_no_step_is_refused():
    with pytest.raises(InputError, match="no sequence of"):
        of(Recurrent("gru", 2, 3), torch.zeros(4, 2, 2), lengths=[0, 0])


def loss(answer):
    return answer.square().mean()


def test_shares_of_a_linear_read_out_are_weight_times_deviation():
    torch.manual_seed(0)
    net, x = Net(tg.nn.LSTM(2, 6)).double(), torch.randn(9, 40, 2, dtype=torch.float64)
    read = read_out(net, loss, x)["layer.l0"]
    h = net.layer(x)[1][0][0].detach()
    expected = net.head.weight[0].detach().abs() * h.std(0, correction=0)
    assert read.shares == pytest.approx((expected / expected.sum()).numpy(), rel=1e-9)
    assert read.loss == read.without == pytest.approx(loss(net(x)).item())


@pytest.mark.parametrize("how", ["plain", "batch_first", "bidirectional", "packed"])
def test_units_that_nobody_reads(how):
    torch.manual_seed(0)
    net = Net(tg.nn.GRU(2, 6, 2, batch_first=how == "batch_first", bidirectional=how == "bidirectional"))
    with torch.no_grad():
        net.head.weight[:, 1:4] = 0
    x = torch.randn(9, 5, 2)
    named = {"lengths": [9, 9, 4, 3, 1]}
    if how == "batch_first":
        x = x.transpose(0, 1)
    elif how == "packed":
        x, named = torch.nn.utils.rnn.pack_padded_sequence(x, named["lengths"]), {}
    found = read_out(net, loss, x, **named)
    assert list(found) == ["layer.l1", "layer.l1_reverse"][: 1 + (how == "bidirectional")]
    read = found["layer.l1"]
    assert read.unread.tolist() == [False, True, True, True, False, False]
    assert read.without == pytest.approx(read.loss, rel=1e-12)


def test_a_mean_in_the_place_of_small_shares_changes_the_loss_a_little():
    torch.manual_seed(0)
    net = Net(tg.nn.GRU(2, 6))
    with torch.no_grad():
        net.head.weight[:, 1:4] *= 1e-6
    read = read_out(net, loss, torch.randn(9, 5, 2))["layer.l0"]
    assert read.unread.sum() == 3
    assert 0 < abs(read.without - read.loss) < 1e-5


def test_a_layer_that_the_loss_does_not_read_has_no_shares():
    class Two(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = tg.nn.GRU(2, 3), tg.nn.GRU(2, 3)

        def forward(self, x):
            self.b(x)
            return self.a(x)[0]

    found = read_out(Two(), "last", torch.randn(4, 2, 2))
    assert np.isnan(found["b.l0"].shares).all()
    assert found["a.l0"].shares.sum() == pytest.approx(1)
