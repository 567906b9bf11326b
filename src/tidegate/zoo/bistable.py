"""Bistable cells: a unit can stay at either of two values for ever."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Vecoven, Ernst & Drion 2021, A Bio-inspired Bistable Recurrent Cell, arXiv 2006.05252"
BIAS = "a bias of the candidate, too; the authors' code has those of a and c, which begin as 0"


class BRC(Cell):
    """Each unit sees the input and its own past alone."""

    source = SOURCE
    differs = f"{BIAS}; the authors' w begins as 1"
    gates = "a c n"
    matrices: dict[str, str] = {}
    vectors = "w_a w_c"
    biases = "W"

    def step(self, x, h, w):
        a = 1 + tanh(x.a + w.a * h)
        c = sigmoid(x.c + w.c * h)
        n = tanh(x.n + a * h)
        h = c * h + (1 - c) * n
        return h


class NBRC(Cell):
    """Units that make each other bistable."""

    source = SOURCE
    differs = BIAS
    gates = "a c n"
    matrices = {"U": "a c"}
    biases = "W"

    def step(self, x, h, U):
        a = 1 + tanh(x.a + U(h).a)
        c = sigmoid(x.c + U(h).c)
        n = tanh(x.n + a * h)
        h = c * h + (1 - c) * n
        return h
