"""The minimal RNN."""

from tidegate.cell import Cell, sigmoid, tanh


class MinimalRNN(Cell):
    """Inputs are encoded first; a gate averages them over time."""

    source = "Chen 2017, MinimalRNN, arXiv 1711.06788"
    differs = "the encoder is tanh of one layer; held to torchrecurrent 0.2.5, as the paper was not at hand"
    gates = "z u"
    inputs = "z"
    matrices = {"U": "u", "Z": "u"}

    def step(self, x, h, U, Z):
        z = tanh(x.z)
        u = sigmoid(U(h).u + Z(z).u)
        h = u * h + (1 - u) * z
        return h
