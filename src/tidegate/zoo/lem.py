"""The long expressive memory."""

from tidegate.cell import Cell, sigmoid, tanh


class LEM(Cell):
    """Two states, each with a step size that is learned and changes with time."""

    source = "Rusch, Mishra, Erichson & Mahoney 2022, Long Expressive Memory, arXiv 2110.04744"
    gates = "r s n m"
    state = "h z"
    matrices = {"U": "r s n", "Z": "m"}
    biases = "W"
    settings = {"dt": 1.0}

    def step(self, x, h, z, U, Z):
        r = self.dt * sigmoid(x.r + U(h).r)
        s = self.dt * sigmoid(x.s + U(h).s)
        n = tanh(x.n + U(h).n)
        z = (1 - s) * z + s * n
        m = tanh(x.m + Z(z).m)
        h = (1 - r) * h + r * m
        return h, z
