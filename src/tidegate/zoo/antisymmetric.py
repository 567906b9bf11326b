"""Recurrent networks that are stable differential equations."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Chang, Chen, Haber & Chi 2019, AntisymmetricRNN, arXiv 1902.09689"
DIFFERS = "held to torchrecurrent 0.2.5, as the paper was not at hand"


class AntisymmetricRNN(Cell):
    """Units push each other as hard as they are pushed, so that nothing explodes or dies."""

    source = SOURCE
    differs = DIFFERS
    gates = "n"
    mirrored = {"U": -1.0}
    biases = "W"
    settings = {"epsilon": 0.1, "gamma": 0.01}

    def step(self, x, h, U):
        n = tanh(x.n + U(h).n - self.gamma * h)
        h = h + self.epsilon * n
        return h


class GatedAntisymmetricRNN(Cell):
    """The same with a gate that has the recurrent product in common with the candidate."""

    source = SOURCE
    differs = DIFFERS
    gates = "z n"
    matrices = {"U": "a"}
    mirrored = {"U": -1.0}
    biases = "W"
    settings = {"epsilon": 0.1, "gamma": 0.01}

    def step(self, x, h, U):
        a = U(h).a - self.gamma * h
        z = sigmoid(x.z + a)
        n = tanh(x.n + a)
        h = h + self.epsilon * (z * n)
        return h
