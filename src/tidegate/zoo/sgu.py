"""The simple gated unit, and a deeper one."""

from tidegate.cell import Cell, log_sigmoid, minimum, relu, sigmoid, tanh

SOURCE = "Gao & Glowacka 2016, Deep Gate Recurrent Neural Network, arXiv 1604.02910"
DIFFERS = "held to torchrecurrent 0.2.5, as the paper was not at hand; like its cell, with a bias of G, too"


def hard_sigmoid(v):
    """As Keras had it when the paper appeared."""
    return minimum(relu(0.2 * v + 0.5), 1.0)


class SGU(Cell):
    """The past is multiplied by the input before and after a matrix; softplus makes the candidate of it."""

    source = SOURCE
    differs = DIFFERS
    gates = "g n z"
    inputs = "g z"
    matrices = {"G": "g", "U": "z"}
    biases = {"W": "g z", "G": "g"}

    def step(self, x, h, G, U):
        g = tanh(G(x.g * h).g)
        n = -log_sigmoid(-(g * h))
        z = hard_sigmoid(x.z + U(h).z)
        h = (1 - z) * h + z * n
        return h


class DSGU(Cell):
    """An SGU with one more matrix, and a logistic candidate."""

    source = SOURCE
    differs = DIFFERS
    gates = "g n z"
    inputs = "g z"
    matrices = {"G": "g", "O": "n", "U": "z"}
    biases = {"W": "g z", "G": "g"}

    def step(self, x, h, G, O, U):
        g = tanh(G(x.g * h).g)
        n = sigmoid(O(g * h).n)
        z = hard_sigmoid(x.z + U(h).z)
        h = (1 - z) * h + z * n
        return h
