"""The LSTM with refined gates that begin uniformly."""

from tidegate.cell import Cell, sigmoid, tanh


class URLSTM(Cell):
    """A refine gate r moves the forget gate f towards its ends; what is not kept is written."""

    source = "Gu, Gulcehre, Paine, Hoffman & Pascanu 2020, Improving the Gating Mechanism of RNNs, arXiv 1910.09890"
    differs = "two biases, as in torch.nn.LSTM, beside the one of the paper"
    gates = "f r g o"
    state = "h c"
    vectors = "u"
    initial = {"u": "gate"}

    def step(self, x, h, c, u, U):
        f = sigmoid(x.f + U(h).f + u)
        r = sigmoid(x.r + U(h).r - u)
        g = tanh(x.g + U(h).g)
        o = sigmoid(x.o + U(h).o)
        kept = 2 * r * f + (1 - 2 * r) * f * f
        c = kept * c + (1 - kept) * g
        h = o * tanh(c)
        return h, c
