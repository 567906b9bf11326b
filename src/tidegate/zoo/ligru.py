"""The light gated recurrent unit."""

from tidegate.cell import Cell, relu, sigmoid


class LiGRU(Cell):
    """A GRU without a reset gate, with relu for its candidate."""

    source = "Ravanelli et al. 2018, Light Gated Recurrent Units for Speech Recognition, arXiv 1803.10225"
    differs = "no batch norm of W x, but the bias that it stands for"
    gates = "z n"
    biases = "W"

    def step(self, x, h, U):
        z = sigmoid(x.z + U(h).z)
        n = relu(x.n + U(h).n)
        h = z * h + (1 - z) * n
        return h
