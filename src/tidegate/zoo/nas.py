"""The cell that a search by reinforcement learning found."""

from tidegate.cell import Cell, relu, sigmoid, tanh


class NAS(Cell):
    """Eight activations, joined by a tree of four, two and one."""

    source = "Zoph & Le 2017, Neural Architecture Search with Reinforcement Learning, arXiv 1611.01578"
    differs = "the one bias stands in the product of h, which d multiplies by that of x, as in the authors' code"
    gates = "a b c d e f g k"
    state = "h m"
    biases = "U"

    def step(self, x, h, m, U):
        a = sigmoid(x.a + U(h).a)
        b = relu(x.b + U(h).b)
        c = sigmoid(x.c + U(h).c)
        d = relu(x.d * U(h).d)
        e = tanh(x.e + U(h).e)
        f = sigmoid(x.f + U(h).f)
        g = tanh(x.g + U(h).g)
        k = sigmoid(x.k + U(h).k)
        m = tanh(tanh(a * b) + m) * tanh(c + d)
        h = tanh(m * tanh(tanh(e * f) + sigmoid(g + k)))
        return h, m
