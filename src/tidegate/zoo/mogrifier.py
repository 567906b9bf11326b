"""The Mogrifier LSTM."""

from tidegate.cell import Cell, sigmoid, tanh


class MogrifierLSTM(Cell):
    """An LSTM before which input and state gate each other, five times in turns."""

    source = "Melis, Kocisky & Blunsom 2020, Mogrifier LSTM, arXiv 1909.01792"
    differs = (
        "five rounds; Q and R are full matrices, which the paper also factors; as in the paper's equations rounds have "
        "no bias, and i is not held below 1 - f, where the authors' code has both"
    )
    gates = "x1 h2 x3 h4 x5 i f g o"
    state = "h c"
    inputs = ""
    matrices = {"Q": "x1:I x3:I x5:I", "R": "h2 h4", "V": "i f g o", "U": "i f g o"}
    biases = "V"

    def step(self, x, h, c, Q, R, V, U):
        x1 = 2 * sigmoid(Q(h).x1) * x.raw
        h2 = 2 * sigmoid(R(x1).h2) * h
        x3 = 2 * sigmoid(Q(h2).x3) * x1
        h4 = 2 * sigmoid(R(x3).h4) * h2
        x5 = 2 * sigmoid(Q(h4).x5) * x3
        i = sigmoid(V(x5).i + U(h4).i)
        f = sigmoid(V(x5).f + U(h4).f)
        g = tanh(V(x5).g + U(h4).g)
        o = sigmoid(V(x5).o + U(h4).o)
        c = f * c + i * g
        h = o * tanh(c)
        return h, c
