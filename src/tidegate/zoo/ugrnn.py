"""The update gate RNN."""

from tidegate.cell import Cell, sigmoid, tanh


class UGRNN(Cell):
    """A simple recurrent network and one gate that keeps the old state or writes the new one."""

    source = "Collins, Sohl-Dickstein & Sussillo 2017, Capacity and Trainability in RNNs, arXiv 1611.09913"
    differs = "tanh for s, which the paper leaves open"
    gates = "g n"
    biases = "W"

    def step(self, x, h, U):
        g = sigmoid(x.g + U(h).g)
        n = tanh(x.n + U(h).n)
        h = g * h + (1 - g) * n
        return h
