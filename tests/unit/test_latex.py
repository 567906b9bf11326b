"""LaTeX of every cell is inside the subset that matplotlib can draw, so that figures can carry equations."""

import pytest
from matplotlib.mathtext import MathTextParser

from tests.sample import VARIED
from tidegate.cell import Cell, exp, log, log_sigmoid, maximum, minimum, relu, sigmoid, tanh
from tidegate.emit import latex
from tidegate.zoo import CELLS

parser = MathTextParser("path")


def drawable(line):
    return parser.parse(f"${line}$").width > 0


@pytest.mark.parametrize("cell", VARIED)
def test_every_line_can_be_drawn(cell):
    for line in (*latex.lines(CELLS[cell].graph), *latex.lines(CELLS[cell].graph.without_bias())):
        assert drawable(line)


def test_every_operation_can_be_drawn():
    class Everything(Cell):
        gates = "i alpha long_name_1"
        state = "h c"
        matrices = {"U": "i alpha long_name_1", "R_i": "i"}
        vectors = "p_i p_alpha"

        def step(self, x, h, c, U, R_i, p):
            i = sigmoid(x.i + U(h).i + R_i(c).i / 2) / (1 + exp(-p.i * c))
            alpha = maximum(minimum(relu(x.alpha + U(h).alpha), 3), p.alpha)
            long_name_1 = log(2 + tanh(x.long_name_1 + U(h).long_name_1)) * 1e-5
            return i * alpha, -(c - (log_sigmoid(i) - long_name_1)) * (h + c)

    for line in latex.lines(Everything.graph):
        assert drawable(line)


def test_the_check_fails_for_a_command_that_cannot_be_drawn():
    with pytest.raises(ValueError, match="nosuchcommand"):
        drawable(r"\nosuchcommand{x}")
