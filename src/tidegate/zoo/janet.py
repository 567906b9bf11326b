"""JANET: just another network."""

from tidegate.cell import Cell, sigmoid, tanh


class JANET(Cell):
    """An LSTM reduced to its forget gate; what is not kept is written, shifted by beta = 1."""

    source = "van der Westhuizen & Lasenby 2018, The Unreasonable Effectiveness of the Forget Gate, arXiv 1804.04849"
    gates = "f n"
    biases = "W"

    def step(self, x, h, U):
        s = x.f + U(h).f
        f = sigmoid(s)
        n = tanh(x.n + U(h).n)
        h = f * h + (1 - sigmoid(s - 1)) * n
        return h
