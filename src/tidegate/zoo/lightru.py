"""The light recurrent unit."""

from tidegate.cell import Cell, sigmoid, tanh


class LightRU(Cell):
    """One gate, and a candidate that sees the input alone."""

    source = "Ye, Zhang, Liu, Li, Chang & Zheng 2024, Light Recurrent Unit, Electronics 13 (16) 3204"
    differs = "a bias of the candidate, too; read in three other implementations, as the paper was not at hand"
    gates = "n f"
    matrices = {"U": "f"}
    biases = "W"

    def step(self, x, h, U):
        n = tanh(x.n)
        f = sigmoid(x.f + U(h).f)
        h = (1 - f) * h + f * n
        return h
