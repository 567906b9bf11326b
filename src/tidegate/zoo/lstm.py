"""Long short-term memory: with forget gate, with peepholes, and as it was in 1997."""

from tidegate.cell import Cell, sigmoid, tanh


class LSTM(Cell):
    """A cell state c that is written, kept and read through three gates."""

    source = "Gers, Schmidhuber & Cummins 2000, Learning to Forget, Neural Computation 12"
    differs = "tanh for both squashing functions; two biases, as in torch.nn.LSTM"
    gates = "i f g o"
    state = "h c"

    def step(self, x, h, c, U):
        i = sigmoid(x.i + U(h).i)
        f = sigmoid(x.f + U(h).f)
        g = tanh(x.g + U(h).g)
        o = sigmoid(x.o + U(h).o)
        c = f * c + i * g
        h = o * tanh(c)
        return h, c


class PeepholeLSTM(Cell):
    """LSTM whose gates see the cell state: input and forget gate the old one, output gate the new one."""

    source = "Gers & Schmidhuber 2000, Recurrent Nets that Time and Count, IJCNN"
    differs = "tanh for both squashing functions; two biases, so that the weights of an LSTM fit"
    gates = "i f g o"
    state = "h c"
    vectors = "p_i p_f p_o"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * tanh(c)
        return h, c


class LSTM1997(Cell):
    """The original: no forget gate, so the cell state is a plain sum."""

    source = "Hochreiter & Schmidhuber 1997, Long Short-Term Memory, Neural Computation 9"
    differs = "one cell per memory block; trained by the full gradient, not the truncated one"
    gates = "i g o"
    state = "h c"
    biases = "W"

    def step(self, x, h, c, U):
        i = sigmoid(x.i + U(h).i)
        g = 4 * sigmoid(x.g + U(h).g) - 2
        o = sigmoid(x.o + U(h).o)
        c = c + i * g
        h = o * (2 * sigmoid(c) - 1)
        return h, c
