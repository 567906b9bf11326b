"""Strongly typed cells: what is kept is never multiplied by a matrix. The T-RNN of the same paper is ``MinGRU``."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Balduzzi & Ghifary 2016, Strongly-Typed Recurrent Neural Networks, arXiv 1602.02218"
DIFFERS = (
    "what the last input adds to the gates is kept in place of the input itself; held to torchrecurrent 0.2.5, as the "
    "paper was not at hand"
)


class TypedGRU(Cell):
    """The T-GRU: gates see the inputs of this step and of the last."""

    source = SOURCE
    differs = DIFFERS
    gates = "z f o"
    state = "h vz vf vo"
    inputs = "z f o vz vf vo"
    matrices: dict[str, str] = {}
    biases = {"W": "z f o"}

    def step(self, x, h, vz, vf, vo):
        z = x.z + vz
        f = sigmoid(x.f + vf)
        o = tanh(x.o + vo)
        h = f * h + z * o
        return h, x.vz, x.vf, x.vo


class TypedLSTM(Cell):
    """The T-LSTM: a T-GRU with a memory and an output."""

    source = SOURCE
    differs = DIFFERS
    gates = "z f o"
    state = "h c vz vf vo"
    inputs = "z f o vz vf vo"
    matrices: dict[str, str] = {}
    biases = {"W": "z f o"}

    def step(self, x, h, c, vz, vf, vo):
        z = x.z + vz
        f = sigmoid(x.f + vf)
        o = tanh(x.o + vo)
        c = f * c + (1 - f) * z
        h = o * c
        return h, c, x.vz, x.vf, x.vo
