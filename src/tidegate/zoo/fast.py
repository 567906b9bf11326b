"""Cells for devices of kilobytes: a residual connection with two numbers."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Kusupati et al. 2018, FastGRNN, arXiv 1901.02358"
DIFFERS = "the two numbers of the paper are vectors, one number a unit; W and U have full rank unless asked for"


class FastRNN(Cell):
    """A simple recurrent network that moves by a learned share."""

    source = SOURCE
    differs = DIFFERS
    gates = "n"
    vectors = "alpha beta"
    biases = "W"
    initial = {"alpha": "constant -3", "beta": "constant 3", "bias_W": "constant 1"}

    def step(self, x, h, U, alpha, beta):
        n = tanh(x.n + U(h).n)
        h = sigmoid(alpha) * n + sigmoid(beta) * h
        return h


class FastGRNN(Cell):
    """A gate and a candidate of one product, which differ by their biases alone."""

    source = SOURCE
    differs = DIFFERS
    gates = "z n"
    inputs = "s"
    matrices = {"U": "s"}
    vectors = "b_z b_n zeta nu"
    biases = ""
    initial = {"b_z": "constant 1", "b_n": "constant 1", "zeta": "constant 1", "nu": "constant -4"}

    def step(self, x, h, U, b, zeta, nu):
        s = x.s + U(h).s
        z = sigmoid(s + b.z)
        n = tanh(s + b.n)
        h = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n + z * h
        return h
