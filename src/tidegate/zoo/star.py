"""The stackable recurrent cell."""

from tidegate.cell import Cell, sigmoid, tanh


class STAR(Cell):
    """One gate, and a state that keeps the size of gradients in deep stacks."""

    source = "Turkoglu, D'Aronco, Wegner & Schindler 2021, Gating Revisited, arXiv 1911.11033"
    differs = (
        "the authors' code weighs z by sigmoid(v + 1), where k is sigmoid(v), and begins the bias of k at -log(u), u "
        "uniform from 1 to the longest time that matters"
    )
    gates = "z k"
    matrices = {"U": "k"}
    biases = "W"

    def step(self, x, h, U):
        z = tanh(x.z)
        k = sigmoid(x.k + U(h).k)
        h = tanh((1 - k) * h + k * z)
        return h
