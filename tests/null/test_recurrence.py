"""What the compiler says of recurrences, and the table of it in the documentation."""

from pathlib import Path

import pytest

from tidegate.cell import Cell, exp, layer_norm, maximum, relu, sigmoid, sqrt, tanh
from tidegate.passes import Recurrence, clip, normalise, recurrences, runs_unit_by_unit, zoneout
from tidegate.zoo import CELLS, LSTM, MinGRU

ENGINE = Path(__file__).parents[2] / "docs" / "design" / "engine.md"
NONE, AFFINE, UNITWISE, DENSE = Recurrence


class SRU(Cell):
    """Lei et al. 2018, with the vectors of its second version; the output is a map of c and the input."""

    gates, state, biases, vectors, input = "n f r", "h c", "W", "v w", "H"
    matrices: dict[str, str] = {}

    def step(self, x, h, c, v, w):
        n, f, r = x.n, sigmoid(x.f + v * c), sigmoid(x.r + w * c)
        c = f * c + (1 - f) * n
        h = r * c + (1 - r) * x.raw
        return h, c


class Complex(Cell):
    """One complex number a unit, as in the LRU: real part h, imaginary part k."""

    gates, state, vectors = "a b", "h k", "r i"
    matrices: dict[str, str] = {}

    def step(self, x, h, k, r, i):
        a, b = x.a, x.b
        h, k = r * h - i * k + a, r * k + i * h + b
        return h, k


class Griffin(Cell):
    """An RG-LRU without its constants."""

    gates = "a n"
    matrices: dict[str, str] = {}

    def step(self, x, h):
        a, n = sigmoid(x.a), x.n
        return a * h + sqrt(1 - a * a) * n


class ScalarMemory(Cell):
    """An sLSTM without any recurrent matrix: c and n are affine, whatever m is."""

    gates, state = "i f z", "h c n m"
    matrices: dict[str, str] = {}

    def step(self, x, h, c, n, m):
        i, f, z = x.i, x.f, tanh(x.z)
        new = maximum(f + m, i)
        c = exp(f + m - new) * c + exp(i - new) * z
        n = exp(f + m - new) * n + exp(i - new)
        h = c / maximum(n, 1)
        return h, c, n, new


class Turns(Cell):
    """Two states that hand a value to each other, by way of a function in one of them."""

    gates, state = "a", "h k"
    matrices: dict[str, str] = {}

    def step(self, x, h, k):
        a = x.a
        return a + k, tanh(h)


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
