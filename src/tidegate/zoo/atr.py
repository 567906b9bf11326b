"""The addition-subtraction twin-gated recurrent network."""

from tidegate.cell import Cell, sigmoid


class ATR(Cell):
    """Two gates of one sum and one difference, so that a step has only two products."""

    source = "Zhang, Xiong, Su, Lin & Zhang 2018, Simplifying NMT with ATR, arXiv 1810.12546"
    differs = "a bias of W, which the authors' code does not have"
    gates = "i f"
    inputs = "p"
    matrices = {"U": "q"}
    biases = "W"

    def step(self, x, h, U):
        p, q = x.p, U(h).q
        i = sigmoid(p + q)
        f = sigmoid(p - q)
        h = i * p + f * h
        return h
