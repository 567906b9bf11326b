"""The structurally constrained recurrent network."""

from tidegate.cell import Cell, sigmoid


class SCRN(Cell):
    """A simple recurrent network with a slow context s, which has its own width."""

    source = "Mikolov et al. 2014, Learning Longer Memory in Recurrent Neural Networks, arXiv 1412.7753"
    differs = (
        "the output is h alone; the paper's output layer also reads s, which is the second state and in every trace"
    )
    gates = "h"
    state = "h s:S"
    inputs = "h s:S"
    matrices = {"U": "h", "P": "h"}
    biases = ""

    def step(self, x, h, s, U, P):
        s = 0.05 * x.s + 0.95 * s
        h = sigmoid(P(s).h + x.h + U(h).h)
        return h, s


class AdaptiveSCRN(SCRN):
    """An SCRN that learns how much of its context it keeps, unit by unit."""

    vectors = "beta:S"

    def step(self, x, h, s, U, P, beta):
        q = sigmoid(beta)
        s = (1 - q) * x.s + q * s
        h = sigmoid(P(s).h + x.h + U(h).h)
        return h, s
