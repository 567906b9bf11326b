"""Low rank and semi-tied gates of every cell of the zoo, as graphs."""

import pytest

from tidegate.cell.convention import forget_gate
from tidegate.cell.measure import parameters
from tidegate.passes import drop_recurrent, factor, normalise, tie_gates
from tidegate.zoo import CELLS


@pytest.mark.parametrize("name", ["lstm", "gru/before", "gru/write", "mgu", "cifg", "ligru"])
def test_the_gate_that_keeps_stays_the_same(name):
    graph = CELLS[name].graph
    assert forget_gate(factor(graph)) == forget_gate(tie_gates(graph)) == forget_gate(graph)


MIRRORED = {name for name, cell in CELLS.items() if any(matrix.mirror for matrix in cell.graph.matrices)}  # no rank


@pytest.mark.parametrize("name", [name for name in CELLS if name not in MIRRORED])
def test_every_cell_has_a_lean_form(name):
    graph = CELLS[name].graph
    narrow, tied = factor(graph), tie_gates(graph)
    assert [gate for gate, _ in narrow.gates] == [gate for gate, _ in tied.gates] == [gate for gate, _ in graph.gates]
    assert drop_recurrent(factor(normalise(tied))).states == graph.states
    axes = dict.fromkeys((*graph.unit_widths, "R"), 64) | {"R": 4}
    assert parameters(narrow, axes) <= parameters(graph, axes)
    assert parameters(tied, axes) <= parameters(graph, axes)
