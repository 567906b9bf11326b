"""The independently recurrent network."""

from tidegate.cell import Cell, relu


class IndRNN(Cell):
    """Each unit sees the input and its own past alone; units meet in the layers above."""

    source = "Li, Li, Cook, Zhu & Gao 2018, Independently Recurrent Neural Network, arXiv 1803.04831"
    differs = "u is not held within a bound that shrinks with the number of steps"
    gates = "h"
    matrices: dict[str, str] = {}
    vectors = "u"
    biases = "W"

    def step(self, x, h, u):
        h = relu(x.h + u * h)
        return h
