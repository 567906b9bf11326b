"""The minion gated units: GRUs whose gates are fixed numbers."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Zyarah & Kudithipudi 2026, Minion Gated Recurrent Unit for Continual Learning, arXiv 2503.06175"
DIFFERS = "read in torchrecurrent 0.2.5, as the paper was not at hand"


class MiRU1(Cell):
    """A GRU whose update gate is one number."""

    source = SOURCE
    differs = DIFFERS
    gates = "r n"
    biases = "W"
    settings = {"update": 0.5}

    def step(self, x, h, U):
        r = sigmoid(x.r + U(h).r)
        n = tanh(x.n + U(r * h).n)
        h = self.update * h + (1 - self.update) * n
        return h


class MiRU2(Cell):
    """A GRU both of whose gates are numbers."""

    source = SOURCE
    differs = DIFFERS
    gates = "n"
    biases = "W"
    settings = {"update": 0.5, "reset": 0.5}

    def step(self, x, h, U):
        n = tanh(x.n + U(self.reset * h).n)
        h = self.update * h + (1 - self.update) * n
        return h
