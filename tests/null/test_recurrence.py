"""What the compiler says of recurrences, and the table of it in the documentation."""

from pathlib import Path

import pytest

from tests.reference.unitwise import QRNN, SRU, Complex, Griffin, ScalarMemory, Turns
from tidegate.cell import Cell, layer_norm, relu
from tidegate.passes import Recurrence, clip, normalise, recurrences, runs_unit_by_unit, zoneout
from tidegate.zoo import CELLS, LSTM, MinGRU

ENGINE = Path(__file__).parents[2] / "docs" / "design" / "engine.md"
NONE, AFFINE, UNITWISE, DENSE = Recurrence


class Wide(Cell):
    """A norm of a state is no matter of one unit."""

    gates = "a"
    matrices: dict[str, str] = {}

    def step(self, x, h):
        a = x.a
        return a + layer_norm(h)


class Late(Cell):
    """Each unit recurs by itself, but what comes in is multiplied twice."""

    gates, matrices, inputs = "a n", {"U": "n"}, "a"

    def step(self, x, h, U):
        a = relu(x.a)
        n = U(a).n
        return 0.5 * h + n


@pytest.mark.parametrize(
    ("cell", "kinds"),
    [
        (SRU, {"h": NONE, "c": UNITWISE}),
        (QRNN, {"h": NONE, "c": AFFINE}),
        (Complex, {"h": AFFINE, "k": AFFINE}),
        (Griffin, {"h": AFFINE}),
        (ScalarMemory, {"h": NONE, "c": AFFINE, "n": AFFINE, "m": UNITWISE}),
        (Turns, {"h": UNITWISE, "k": UNITWISE}),
        (Wide, {"h": DENSE}),
        (Late, {"h": AFFINE}),
    ],
)
def test_cells_of_the_literature_and_others(cell, kinds):
    assert recurrences(cell.graph) == kinds
    assert runs_unit_by_unit(cell.graph) == (cell not in (Wide, Late))


def test_options_change_what_a_cell_is():
    graph = MinGRU.graph
    assert recurrences(zoneout(graph, {"h": 0.1}, drawn=True)) == {"h": AFFINE}
    assert recurrences(clip(graph, {"h": 3.0})) == {"h": UNITWISE}
    assert recurrences(normalise(graph)) == {"h": AFFINE}  # of products of the input alone
    assert not runs_unit_by_unit(normalise(graph))
    assert not runs_unit_by_unit(LSTM.graph)


def table() -> list[str]:
    """Every cell of the zoo, by the kind of its states."""
    lines = []
    for kind in reversed(Recurrence):
        cells = []
        for name, cell in CELLS.items():
            found = recurrences(cell.graph)
            of_kind = [state for state, own in found.items() if own is kind]
            states = "" if len(of_kind) == len(found) else f" ({', '.join(of_kind)})"
            cells += [f"`{name}`{states}"] if of_kind else []
        lines.append(f"| {kind.name.lower()} | {', '.join(cells) or '-'} |")
    return lines


def test_the_table_of_the_documentation_is_what_the_compiler_says():
    lines = ENGINE.read_text(encoding="utf-8").splitlines()
    assert [line for line in table() if line not in lines] == []
