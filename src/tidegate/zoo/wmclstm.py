"""The LSTM with working memory connections."""

from tidegate.cell import Cell, sigmoid, tanh


class WMCLSTM(Cell):
    """Gates see the cell state through a matrix and tanh, in place of peepholes."""

    source = "Landi, Baraldi, Cornia & Cucchiara 2021, Working Memory Connections for LSTM, arXiv 2109.00020"
    differs = "held to torchrecurrent 0.2.5, as the paper was not at hand; like its cell, with a bias of M"
    gates = "i f g o"
    state = "h c"
    matrices = {"U": "i f g o", "M": "i f o"}
    biases = {"W": "i f g o", "M": "i f o"}

    def step(self, x, h, c, U, M):
        i = sigmoid(x.i + U(h).i + tanh(M(c).i))
        f = sigmoid(x.f + U(h).f + tanh(M(c).f))
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + tanh(M(c).o))
        h = o * tanh(c)
        return h, c
