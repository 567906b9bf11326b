"""The gated recurrent unit in its four published readings."""

from tidegate.cell import Cell, sigmoid, tanh


class GRU(Cell):
    """One state, a reset gate and an update gate.

    ``reset`` says on which side of the recurrent product the reset gate acts, ``update`` whether
    an open update gate keeps the old state or writes the new one.
    """

    source = "Cho et al. 2014, arXiv 1406.1078 (reset before, keep); Chung et al. 2014, arXiv 1412.3555 (write)"
    differs = "reset after the product unless asked for; two biases, as in torch.nn.GRU"
    gates = "r z n"
    options = {"reset": ("after", "before"), "update": ("keep", "write")}

    def step(self, x, h, U):
        r = sigmoid(x.r + U(h).r)
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + (r * U(h).n if self.reset == "after" else U(r * h).n))
        h = z * h + (1 - z) * n if self.update == "keep" else (1 - z) * h + z * n
        return h
