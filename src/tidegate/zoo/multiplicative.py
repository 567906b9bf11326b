"""The multiplicative LSTM."""

from tidegate.cell import Cell, sigmoid, tanh


class MultiplicativeLSTM(Cell):
    """An LSTM whose gates see m, the past multiplied by the input, in place of h."""

    source = "Krause, Lu, Murray & Renals 2016, Multiplicative LSTM for Sequence Modelling, arXiv 1609.07959"
    differs = (
        "as the authors' later code has it, without weight normalisation; in their first, g has no tanh, and h is "
        "tanh(o * c + b)"
    )
    gates = "m i f g o"
    state = "h c"
    matrices = {"U": "m", "M": "i f g o"}
    biases = {"W": "i f g o"}

    def step(self, x, h, c, U, M):
        m = x.m * U(h).m
        i = sigmoid(x.i + M(m).i)
        f = sigmoid(x.f + M(m).f)
        g = tanh(x.g + M(m).g)
        o = sigmoid(x.o + M(m).o)
        c = f * c + i * g
        h = o * tanh(c)
        return h, c
