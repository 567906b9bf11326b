"""The recurrent additive network."""

from tidegate.cell import Cell, sigmoid, tanh


class RAN(Cell):
    """A memory that is a weighted sum of inputs, and nothing else."""

    source = "Lee, Levy & Zettlemoyer 2017, Recurrent Additive Networks, arXiv 1705.07393"
    gates = "n i f"
    state = "h c"
    matrices = {"U": "i f"}
    biases = {"W": "i f"}

    def step(self, x, h, c, U):
        n = x.n
        i = sigmoid(x.i + U(h).i)
        f = sigmoid(x.f + U(h).f)
        c = i * n + f * c
        h = tanh(c)
        return h, c
