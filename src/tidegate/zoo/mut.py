"""The three best architectures of an evolutionary search."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Jozefowicz, Zaremba & Sutskever 2015, An Empirical Exploration of Recurrent Network Architectures, ICML"


class MUT1(Cell):
    """A GRU whose update gate sees the input alone and whose candidate takes the input as it is."""

    source = SOURCE
    gates = "z r n"
    input = "H"
    inputs = "z r"
    matrices = {"U": "r n"}
    biases = {"W": "z r", "U": "n"}

    def step(self, x, h, U):
        z = sigmoid(x.z)
        r = sigmoid(x.r + U(h).r)
        n = tanh(U(r * h).n + tanh(x.raw))
        h = n * z + h * (1 - z)
        return h


class MUT2(Cell):
    """A GRU whose reset gate takes the input as it is."""

    source = SOURCE
    gates = "z r n"
    input = "H"
    inputs = "z n"
    biases = {"W": "z n", "U": "r"}

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        r = sigmoid(x.raw + U(h).r)
        n = tanh(U(r * h).n + x.n)
        h = n * z + h * (1 - z)
        return h


class MUT3(Cell):
    """A GRU whose update gate sees a squashed state."""

    source = SOURCE
    gates = "z r n"
    biases = "W"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(tanh(h)).z)
        r = sigmoid(x.r + U(h).r)
        n = tanh(U(r * h).n + x.n)
        h = n * z + h * (1 - z)
        return h
