"""The LSTM with a memory controller."""

from tidegate.cell import Cell, sigmoid, tanh


class MCLSTM(Cell):
    """An LSTM whose gates see a reading v of the memory that is not the output."""

    source = "MC-LSTM, in Sequence Modeling, NIPS 2017 workshop"
    differs = "read in torchrecurrent 0.2.5, as the paper was not at hand"
    gates = "f i o m g"
    state = "h v c"
    biases = "W"

    def step(self, x, h, v, c, U):
        f = sigmoid(x.f + U(v).f)
        i = sigmoid(x.i + U(v).i)
        o = sigmoid(x.o + U(v).o)
        m = sigmoid(x.m + U(v).m)
        g = tanh(x.g + U(v).g)
        c = f * c + i * g
        h = o * tanh(c)
        v = m * tanh(c)
        return h, v, c
