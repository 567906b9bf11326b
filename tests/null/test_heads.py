"""Matrices with heads as data: saved, counted, printed, and refused where they make no sense."""

from dataclasses import replace

import pytest

from tidegate.cell import Graph, Matrix
from tidegate.cell.measure import flops, parameters
from tidegate.cell.parameter import parameter_shapes
from tidegate.emit import latex
from tidegate.emit.equation import plain
from tidegate.errors import InputError, SpecError
from tidegate.passes import normalise, project, split_into_heads
from tidegate.zoo import GRU, SCRN, SLSTM

WIDTHS = {"I": 5, "H": 12}
GRAPH = split_into_heads(GRU.graph, 3, ["U"])


def test_one_head_is_not_written_so_that_old_hashes_stay() -> None:
    assert "heads" not in str(GRU.graph.to_json())
    assert split_into_heads(GRU.graph, 1, ["U"]) == GRU.graph
    assert GRAPH.hash != GRU.graph.hash
    assert Graph.from_json(GRAPH.to_json()) == GRAPH


@pytest.mark.parametrize("heads", [0, -1, 2.0, True, "2", None, 65537])
def test_a_number_of_heads_that_is_none_is_refused(heads: object) -> None:
    saved = GRAPH.to_json()
    saved["matrices"][1]["heads"] = heads
    with pytest.raises(SpecError):
        Graph.from_json(saved)


def test_heads_of_many_matrices_that_need_absurd_widths_are_refused() -> None:
    saved = split_into_heads(SCRN.graph, 2, [m.name for m in SCRN.graph.matrices]).to_json()
    for matrix, heads in zip(saved["matrices"], (64_301, 64_303, 64_319), strict=False):
        matrix["heads"] = heads
    with pytest.raises(SpecError, match="multiples of"):
        Graph.from_json(saved)


def test_shapes_and_counts_are_those_of_what_is_stored() -> None:
    shapes = parameter_shapes(GRAPH, WIDTHS)
    assert shapes["weight_U"] == (36, 4)
    assert (
        parameters(GRAPH, WIDTHS)
        == 36 * 5 + 36 * 4 + 72
        == sum(rows * (columns[0] if columns else 1) for rows, *columns in shapes.values())
    )
    saved = 2 * 36 * (12 - 4)
    assert flops(GRU.graph, WIDTHS) - flops(GRAPH, WIDTHS) == saved


def test_heads_that_do_not_divide_the_units_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        parameter_shapes(split_into_heads(GRU.graph, 5, ["U"]), WIDTHS)
    assert str(caught.value) == "5 heads cannot share the 12 units of U evenly — choose a multiple of 5, or other heads"


def test_heads_stay_when_a_cell_is_projected_or_normalised() -> None:
    changed = [project(split_into_heads(SLSTM.graph, 3, ["U"])), normalise(GRAPH)]
    assert [graph.matrix("U").heads for graph in changed] == [3, 3]
    with pytest.raises(InputError, match="3 heads cannot share the 7 projected units of U evenly"):
        parameter_shapes(changed[0], WIDTHS | {"P": 7})


def test_heads_are_given_once() -> None:
    with pytest.raises(SpecError, match="U of GRU has 3 heads already"):
        split_into_heads(GRAPH, 2, ["U"])


def test_equations_show_heads() -> None:
    assert "r[t] = sigmoid(W_r x[t] + b_r + U_r[3 heads] h[t-1] + bU_r)" in plain(GRAPH)
    assert "layer_norm(U[3 heads] h[t-1]).r" in plain(normalise(GRAPH))
    assert r"\mathrm{diag}_{3}\left(U_{r}\right) h_{t-1}" in latex.align(GRAPH)


def test_a_matrix_of_the_input_may_have_heads_too() -> None:
    assert replace(Matrix("W", (), "I"), heads=2).heads == 2
    assert parameter_shapes(split_into_heads(GRU.graph, 2, ["W"]), {"I": 4, "H": 6})["weight_W"] == (18, 2)
