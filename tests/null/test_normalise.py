"""Layer normalisation as a pass from graph to graph."""

from __future__ import annotations

import json

import pytest

from tidegate.cell import Cell, Graph, Op, sigmoid, tanh
from tidegate.cell.measure import flops, parameters
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit.equation import plain
from tidegate.errors import SpecError
from tidegate.passes import lower, normalise, project, schedule
from tidegate.passes.lower import Lowered
from tidegate.zoo import CELLS, LSTM

WIDTHS = {"I": 3, "H": 4, "P": 2, "S": 5, "K": 6}
every_cell = pytest.mark.parametrize("cell", CELLS)
either_way = pytest.mark.parametrize("over", ["all", "each"])


def programs(lowered: Lowered):
    return [schedule(step) for step in (lowered.forward, lowered.backward, lowered.ending)]


@every_cell
@either_way
def test_every_cell_can_be_normalised_differentiated_and_scheduled(cell, over):
    for graph in (CELLS[cell].graph, CELLS[cell].graph.without_bias()):
        normal = normalise(graph, over)
        assert programs(lower(normal))
        assert Graph.from_json(json.loads(json.dumps(normal.to_json()))) == normal
        assert plain(normal).count("layer_norm") >= len(graph.matrices)


@every_cell
def test_weights_and_biases_of_the_plain_cell_fit(cell):
    graph = CELLS[cell].graph
    before, after = parameter_shapes(graph, WIDTHS), parameter_shapes(normalise(graph), WIDTHS)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith(("norm_", "bias_")) for name in after.keys() - before.keys())


def test_gains_and_biases_of_an_lstm():
    added = parameter_shapes(normalise(LSTM.graph), WIDTHS)
    assert list(added) == ["weight_W", "weight_U", "bias_W", "bias_U", "norm_W", "norm_U", "norm_c", "bias_c"]
    assert added["norm_W"] == (16,)
    assert added["bias_c"] == (4,)
    assert "bias_c" not in parameter_shapes(normalise(LSTM.graph.without_bias()), WIDTHS)


def test_blocks_are_normalised_together_or_each():
    together, each = (normalise(LSTM.graph, over) for over in ("all", "each"))
    counts = [sorted(len(n.args) for n in g.nodes if n.op is Op.MEAN) for g in (together, each)]
    assert counts == [[1, 4, 4], [1] * 9]


def test_the_cell_state_is_carried_as_it_is():
    lines = plain(normalise(LSTM.graph)).splitlines()
    assert lines[-2:] == [
        "c[t] = f[t] * c[t-1] + i[t] * g[t]",
        "h[t] = o[t] * tanh(norm_c * layer_norm(c[t]) + bias_c)",
    ]


def test_blocks_that_multiply_different_values_are_not_mixed():
    text = plain(normalise(CELLS["gru/before"].graph))
    assert "norm_U_r * layer_norm(U h[t-1]).r" in text
    assert "norm_U_n * layer_norm(U_n (r[t] * h[t-1]))" in text


def test_of_two_further_states_none_is_normalised():
    class Two(Cell):
        gates = "i n"
        state = "h c s"

        def step(self, x, h, c, s, U):
            i = sigmoid(x.i + U(h).i)
            n = tanh(x.n + U(h).n)
            c = i * c + n
            s = c + s
            h = tanh(c + s)
            return h, c, s

    assert not {"norm_c", "norm_s"} & parameter_shapes(normalise(Two.graph), WIDTHS).keys()


def test_a_state_that_the_output_is_not_made_from_is_left_alone():
    class Aside(Cell):
        gates = "n"
        state = "h c"

        def step(self, x, h, c, U):
            n = tanh(x.n + U(h).n + c)
            return n, sigmoid(h)

    assert "norm_c" not in parameter_shapes(normalise(Aside.graph), WIDTHS)


def test_a_normalised_cell_can_be_projected_and_a_projected_one_normalised():
    first, second = project(normalise(LSTM.graph)), normalise(project(LSTM.graph))
    assert plain(first) == plain(second)
    assert "norm_hr" not in parameter_shapes(second, WIDTHS)


def test_a_normalised_cell_cannot_be_normalised_again():
    with pytest.raises(SpecError, match="normalised already"):
        normalise(normalise(LSTM.graph))


def test_what_a_norm_costs_is_counted():
    graph, widths = LSTM.graph, {"I": 3, "H": 4}
    normal = normalise(graph)
    assert parameters(normal, widths) - parameters(graph, widths) == 2 * 16 + 2 * 4
    # mean and variance of 4 H units twice and of H units; subtract, scale, gain, and a bias where there was none;
    # of each of the three norms a sum, a root and a quotient
    assert flops(normal, widths) - flops(graph, widths) == 9 * 4 * (1 + 3 + 3) + 4 + 3 * 3
