"""The quasi-recurrent network: convolutions over time, and a sum for each unit."""

from tidegate.cell import Cell, sigmoid, tanh

SOURCE = "Bradbury, Merity, Xiong & Socher 2017, Quasi-Recurrent Neural Networks, arXiv 1611.01576"


class QRNN(Cell):
    """Gates that see the input of this step alone, with fo-pooling."""

    source = SOURCE
    differs = (
        "a window of one step, as in the authors' layers by default; fo-pooling; f keeps, as in the paper, where it "
        "writes in their layers"
    )
    gates = "z f o"
    state = "h c"
    matrices: dict[str, str] = {}
    biases = "W"

    def step(self, x, h, c):
        z = tanh(x.z)
        f = sigmoid(x.f)
        o = sigmoid(x.o)
        c = f * c + (1 - f) * z
        h = o * c
        return h, c


class QRNN2(Cell):
    """Gates that see the inputs of this step and of the last, with fo-pooling."""

    source = SOURCE
    differs = "a window of two steps; what the last input adds to the gates is kept in place of the input itself"
    gates = "z f o"
    state = "h c vz vf vo"
    inputs = "z f o vz vf vo"
    matrices: dict[str, str] = {}
    biases = {"W": "z f o"}

    def step(self, x, h, c, vz, vf, vo):
        z = tanh(x.z + vz)
        f = sigmoid(x.f + vf)
        o = sigmoid(x.o + vo)
        c = f * c + (1 - f) * z
        h = o * c
        return h, c, x.vz, x.vf, x.vo
