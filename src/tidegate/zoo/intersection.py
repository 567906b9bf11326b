"""The intersection RNN."""

from tidegate.cell import Cell, relu, sigmoid, tanh


class IntersectionRNN(Cell):
    """A gate g on the way through time, and a gate s on the way up through the layers."""

    source = "Collins, Sohl-Dickstein & Sussillo 2017, Capacity and Trainability in RNNs, arXiv 1611.09913"
    gates = "s m g n"
    state = "y h"
    input = "H"
    biases = "W"
    initial = {"bias_W.s": "constant 1", "bias_W.g": "constant 1"}

    def step(self, x, y, h, U):
        s = sigmoid(x.s + U(h).s)
        m = relu(x.m + U(h).m)
        g = sigmoid(x.g + U(h).g)
        n = tanh(x.n + U(h).n)
        y = s * x.raw + (1 - s) * m
        h = g * h + (1 - g) * n
        return y, h
