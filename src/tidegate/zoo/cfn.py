"""The chaos-free network."""

from tidegate.cell import Cell, sigmoid, tanh


class CFN(Cell):
    """Without input every unit decays to zero: its dynamics cannot be chaotic."""

    source = "Laurent & von Brecht 2017, A Recurrent Neural Network without Chaos, arXiv 1612.06212"
    differs = "held to torchrecurrent 0.2.5, as the paper was not at hand"
    gates = "f i n"
    matrices = {"U": "f i"}
    biases = {"W": "f i"}
    initial = {"bias_W.f": "constant 1", "bias_W.i": "constant -1"}

    def step(self, x, h, U):
        f = sigmoid(x.f + U(h).f)
        i = sigmoid(x.i + U(h).i)
        n = tanh(x.n)
        h = f * tanh(h) + i * n
        return h
