"""Numbers of a definition that a layer may choose, and how its parameters begin: both are data of the graph."""

import pytest

from tidegate.cell import Cell, Graph, sigmoid, tanh
from tidegate.emit.compiled import Compiled
from tidegate.errors import SpecError
from tidegate.zoo import CFN, LRU, LSTM, CoRNN, MiRU1


def defined(**declared):
    """A cell with further declarations."""

    def step(self, x, h, U, u):
        z = sigmoid(x.z + U(h).z)
        return z * h + (1 - z) * tanh(u)

    return type("Own", (Cell,), {"gates": "z", "biases": "W", "vectors": "u", "step": step, **declared})


def constants(graph):
    return {node.name: node.value for node in graph.nodes if node.is_setting}


def test_a_setting_is_a_number_of_the_graph_with_a_name():
    assert constants(CoRNN.graph) == {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7}
    faster = CoRNN.variant(dt=0.5)
    assert constants(faster.graph) == {"dt": 0.5, "gamma": 2.7, "epsilon": 4.7}
    assert faster.graph.hash != CoRNN.graph.hash
    assert CoRNN.variant(dt=0.5) is faster
    assert constants(CoRNN.graph)["dt"] == 0.042


def test_a_subclass_may_choose_a_setting():
    class Slow(CoRNN):
        dt = 0.001

    assert constants(Slow.graph)["dt"] == 0.001


def test_cells_that_differ_in_a_setting_alone_share_their_code():
    assert Compiled(CoRNN.graph).source == Compiled(CoRNN.variant(dt=0.5).graph).source
    assert Compiled(MiRU1.graph).source == Compiled(MiRU1.variant(update=0.9).graph).source


def test_arithmetic_on_settings_is_a_setting():
    assert constants(MiRU1.variant(update=0.75).graph) == {"update": 0.75, "sub(1.0, update)": 0.25}
    assert Graph.from_json(MiRU1.graph.to_json()) == MiRU1.graph


@pytest.mark.parametrize("value", ["0.1", True, float("nan"), None])
def test_a_setting_is_a_finite_number(value):
    with pytest.raises(SpecError, match=r"CoRNN\.dt is .*expected a finite number.*declare one"):
        CoRNN.variant(dt=value)


def test_unknown_settings_are_refused_with_those_that_there_are():
    with pytest.raises(SpecError, match=r"CoRNN has no step=0.1.*settings: .*'dt': 0.042"):
        CoRNN.variant(step=0.1)
    with pytest.raises(SpecError, match=r"settings: .*reserved"):
        defined(settings={"weight": 1.0})


def test_what_begins_is_part_of_the_graph_and_of_its_hash():
    rules = {(initial.name, initial.block): initial.rule for initial in CFN.graph.initial}
    assert rules == {("bias_W", "f"): "constant 1", ("bias_W", "i"): "constant -1"}
    plain = type("CFN", (CFN,), {"initial": {}})
    assert plain.graph.hash != CFN.graph.hash
    for graph in (CFN.graph, LRU.graph):
        assert Graph.from_json(graph.to_json()) == graph


def test_graphs_that_say_nothing_are_written_as_before():
    assert "initial" not in LSTM.graph.to_json()


def test_without_biases_nothing_is_said_of_them():
    assert CFN.graph.without_bias().initial == ()
    assert LRU.graph.without_bias().initial == LRU.graph.initial


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ({"u": "normal 0 1"}, r"u begins as 'normal 0 1'.*rules are: constant a number;"),
        ({"u": "uniform 1"}, r"u begins as 'uniform 1'.*uniform a number a number"),
        ({"u": "constant one"}, "write finite numbers"),
        ({"u": "constant inf"}, "write finite numbers"),
        ({"u": ""}, "u begins as ''"),
        ({"v": "constant 1"}, r"v\. begins as .*is no bias and no vector"),
        ({"bias_W.f": "constant 1"}, r"bias_W\.f begins as .*is no bias and no vector"),
        ({"weight_W": "constant 1"}, "is no bias and no vector"),
        ({"u": "ring_gain w"}, "names 'w', which is no vector"),
        ({"u": 1}, r"initial is .*declare e\.g\. initial"),
        ("u", r"initial is 'u'.*declare e\.g\. initial"),
    ],
)
def test_rules_that_are_none_are_refused(initial, message):
    with pytest.raises(SpecError, match=message):
        defined(initial=initial)
