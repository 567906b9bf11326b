"""What a step keeps of each state, and within which bounds values lie, against the published equations."""

import math

import pytest

from tidegate import zoo
from tidegate.cell import Cell, sigmoid, tanh
from tidegate.cell.convention import Carry, carries, output_gate, reset_side
from tidegate.option import Options
from tidegate.passes import bounds, normalise, zoneout

KEEP, WRITE = (0.0, 1.0), (1.0, 0.0)
LSTM = {"c": Carry("f", *KEEP)}
EXPECTED = {
    "lstm": LSTM, "peepholelstm": LSTM, "v": LSTM, "nig": LSTM, "nog": LSTM, "niaf": LSTM, "noaf": LSTM, "np": LSTM,
    "fgr": LSTM, "lstm1997": {"c": Carry("", 1.0, 1.0)}, "nfg": {"c": Carry("", 1.0, 1.0)},
    "cifg": {"c": Carry("i", *WRITE)}, "gru": {"h": Carry("z", *KEEP)}, "gru/before": {"h": Carry("z", *KEEP)},
    "gru/write": {"h": Carry("z", *WRITE)}, "mgu": {"h": Carry("f", *WRITE)}, "ugrnn": {"h": Carry("g", *KEEP)},
    "janet": {"h": Carry("f", *KEEP)}, "ligru": {"h": Carry("z", *KEEP)}, "mingru": {"h": Carry("z", *WRITE)},
    "minlstm": {"h": Carry("f", *KEEP)}, "mut1": {"h": Carry("z", *WRITE)}, "mut2": {"h": Carry("z", *WRITE)},
    "mut3": {"h": Carry("z", *WRITE)}, "rnn": {}, "rnn/relu": {}, "indrnn": {}, "scrn": {"s": Carry("", 0.95, 0.95)},
    "adaptivescrn": {}, "slstm": {"c": Carry("f", *KEEP), "n": Carry("f", *KEEP)},
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_the_share_that_a_step_keeps(name):
    found = carries(zoo.find(name).graph)
    assert found.keys() == EXPECTED[name].keys()
    for state, carry in found.items():
        assert carry.gate == EXPECTED[name][state].gate
        assert carry[1:] == pytest.approx(EXPECTED[name][state][1:], abs=1e-9)


def test_two_gates_that_decide_together_are_no_carry():
    class Both(Cell):
        gates = "a b n"

        def step(self, x, h, U):
            a, b, n = sigmoid(x.a + U(h).a), sigmoid(x.b + U(h).b), tanh(x.n + U(h).n)
            return a * b * h + n

    assert carries(Both.graph) == {}


def test_zoneout_keeps_a_share_of_its_own():
    graph = zoneout(zoo.LSTM.graph, {"c": 0.25}, drawn=False)
    gate, shut, opened = carries(graph)["c"]
    assert (gate, shut, opened) == ("f", pytest.approx(0.25), pytest.approx(1.0))


def test_layer_norm_changes_no_carry():
    assert carries(normalise(zoo.LSTM.graph))["c"].gate == "f"
    assert Options(layer_norm=True).define(zoo.GRU.graph) == normalise(zoo.GRU.graph)


@pytest.mark.parametrize(
    ("name", "gate"), [("lstm", "o"), ("slstm", "o"), ("lstm1997", "o"), ("nog", None), ("gru", None), ("rnn", None)]
)
def test_the_gate_that_hides_the_output(name, gate):
    assert output_gate(zoo.find(name).graph) == gate


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        ("lstm", {"i": (0, 1), "g": (-1, 1), "o": (0, 1), "h": (-1, 1), "c": (-math.inf, math.inf)}),
        ("lstm1997", {"g": (-2, 2), "h": (-1, 1)}),
        ("scrn", {"h": (0, 1)}),
        ("ligru", {"n": (0, math.inf)}),
        ("niaf", {"g": (-math.inf, math.inf)}),
    ],
)
def test_bounds_of_values(name, limits):
    graph = zoo.find(name).graph
    found = bounds(graph)
    assert {value: found[graph.reported[value]] for value in limits} == limits


def test_a_clip_bounds_what_it_clips():
    graph = Options(state_clip=3.0).rewrite(zoo.LSTM.graph, training=False, resets=False)
    assert bounds(graph)[graph.reported["c"]] == (-3, 3)


@pytest.mark.parametrize(
    ("name", "side"),
    [("gru", "after"), ("gru/before", "before"), ("mut2", "before"), ("grud", "before"), ("misprintgru", "after")]
    + [(name, None) for name in ("sru", "rglru", "urlstm", "lem", "lstm")],
)
def test_a_gate_r_is_a_reset_gate_only_where_it_scales_a_recurrent_product_or_its_operand(name, side) -> None:
    assert reset_side(zoo.CELLS[name].graph) == side
