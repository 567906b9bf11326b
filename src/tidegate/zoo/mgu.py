"""The minimal gated unit."""

from tidegate.cell import Cell, sigmoid, tanh


class MGU(Cell):
    """A GRU with a single gate, which both resets and updates."""

    source = "Zhou, Wu, Zhang & Zhou 2016, Minimal Gated Unit for Recurrent Neural Networks, arXiv 1603.09420"
    gates = "f n"
    biases = "W"

    def step(self, x, h, U):
        f = sigmoid(x.f + U(h).f)
        n = tanh(x.n + U(f * h).n)
        h = (1 - f) * h + f * n
        return h
