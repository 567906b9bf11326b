"""Cells without a recurrent matrix that are not in the zoo: from papers, and to show what a recurrence can be."""

from __future__ import annotations

from tidegate.cell import Cell, exp, maximum, sigmoid, sqrt, tanh

NO_MATRIX: dict[str, str] = {}


class SRU(Cell):
    """The output is a map of c and of the input; v and w are those of the second version."""

    source = "Lei et al. 2018, Simple Recurrent Units for Highly Parallelizable Recurrence, arXiv 1709.02755"
    gates, state, biases, vectors, input = "n f r", "h c", "W", "v w", "H"
    matrices = NO_MATRIX

    def step(self, x, h, c, v, w):
        n, f, r = x.n, sigmoid(x.f + v * c), sigmoid(x.r + w * c)
        c = f * c + (1 - f) * n
        h = r * c + (1 - r) * x.raw
        return h, c


class QRNN(Cell):
    """Windows of one step, and both an input and an output gate."""

    source = "Bradbury et al. 2017, Quasi-Recurrent Neural Networks, arXiv 1611.01576"
    gates, state = "z f o i", "h c"
    matrices = NO_MATRIX

    def step(self, x, h, c):
        z, f, o, i = tanh(x.z), sigmoid(x.f), sigmoid(x.o), sigmoid(x.i)
        c = f * c + i * z
        h = o * c
        return h, c


class Complex(Cell):
    """One complex number a unit: real part h, imaginary part k."""

    source = "as in Orvieto et al. 2023, Resurrecting Recurrent Neural Networks for Long Sequences, arXiv 2303.06349"
    gates, state, vectors = "a b", "h k", "r i"
    matrices = NO_MATRIX

    def step(self, x, h, k, r, i):
        a, b = x.a, x.b
        h, k = r * h - i * k + a, r * k + i * h + b
        return h, k


class Griffin(Cell):
    """A gated linear unit whose scale nearly keeps the size of its state: where a is 1, an exact one has no slope."""

    source = "as in De et al. 2024, Griffin, arXiv 2402.19427"
    gates = "a n"
    biases = "W"
    matrices = NO_MATRIX

    def step(self, x, h):
        a, n = sigmoid(x.a), x.n
        return a * h + sqrt(1.01 - a * a) * n


class ScalarMemory(Cell):
    """c and n are affine, whatever m is."""

    source = "an sLSTM (Beck et al. 2024, arXiv 2405.04517) without recurrent matrices and output gate"
    gates, state = "i f z", "h c n m"
    matrices = NO_MATRIX

    def step(self, x, h, c, n, m):
        i, f, z = x.i, x.f, tanh(x.z)
        new = maximum(f + m, i)
        c = exp(f + m - new) * c + exp(i - new) * z
        n = exp(f + m - new) * n + exp(i - new)
        h = c / maximum(n, 1)
        return h, c, n, new


class Turns(Cell):
    """Two states that hand a value to each other, one of them by way of a function."""

    gates, state = "a", "h k"
    matrices = NO_MATRIX

    def step(self, x, h, k):
        a = x.a
        return a + k, tanh(h)


UNITWISE: dict[str, type[Cell]] = {
    "sru": SRU,
    "qrnn": QRNN,
    "complex": Complex,
    "griffin": Griffin,
    "scalar memory": ScalarMemory,
    "turns": Turns,
}
