"""The vanilla LSTM and the eight ablations of "LSTM: A Search Space Odyssey".

Each class is named after its row in the study. One bias per gate, as printed there.
"""

from tidegate.cell import Cell, sigmoid, tanh
from tidegate.zoo.lstm import LSTM, PeepholeLSTM

SOURCE = "Greff et al. 2017, LSTM: A Search Space Odyssey, IEEE TNNLS 28, arXiv 1503.04069"


class V(PeepholeLSTM):
    """Vanilla: three gates with peepholes, both squashing functions."""

    source = SOURCE
    differs = ""
    biases = "W"


class NIG(Cell):
    """No input gate."""

    source = SOURCE
    gates = "f g o"
    state = "h c"
    vectors = "p_f p_o"
    biases = "W"

    def step(self, x, h, c, U, p):
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = tanh(x.g + U(h).g)
        c = f * c + g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * tanh(c)
        return h, c


class NFG(Cell):
    """No forget gate."""

    source = SOURCE
    gates = "i g o"
    state = "h c"
    vectors = "p_i p_o"
    biases = "W"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        g = tanh(x.g + U(h).g)
        c = c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * tanh(c)
        return h, c


class NOG(Cell):
    """No output gate."""

    source = SOURCE
    gates = "i f g"
    state = "h c"
    vectors = "p_i p_f"
    biases = "W"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        h = tanh(c)
        return h, c


class NIAF(Cell):
    """No input activation function: the candidate is linear."""

    source = SOURCE
    gates = "i f g o"
    state = "h c"
    vectors = "p_i p_f p_o"
    biases = "W"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = x.g + U(h).g
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * tanh(c)
        return h, c


class NOAF(Cell):
    """No output activation function: the cell state is read as it is."""

    source = SOURCE
    gates = "i f g o"
    state = "h c"
    vectors = "p_i p_f p_o"
    biases = "W"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * c
        return h, c


class CIFG(Cell):
    """Coupled input and forget gate: what is not written is kept."""

    source = SOURCE
    gates = "i g o"
    state = "h c"
    vectors = "p_i p_o"
    biases = "W"

    def step(self, x, h, c, U, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        g = tanh(x.g + U(h).g)
        c = (1 - i) * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * tanh(c)
        return h, c


class NP(LSTM):
    """No peepholes."""

    source = SOURCE
    differs = ""
    biases = "W"


class FGR(Cell):
    """Full gate recurrence: every gate also sees all three gates of the step before."""

    source = SOURCE
    gates = "i f g o"
    state = "h c i f o"
    matrices = {"U": "i f g o", "R_i": "i f o", "R_f": "i f o", "R_o": "i f o"}
    vectors = "p_i p_f p_o"
    biases = "W"

    def step(self, x, h, c, i, f, o, U, R_i, R_f, R_o, p):
        from_i, from_f, from_o = R_i(i), R_f(f), R_o(o)
        i = sigmoid(x.i + U(h).i + p.i * c + from_i.i + from_f.i + from_o.i)
        f = sigmoid(x.f + U(h).f + p.f * c + from_i.f + from_f.f + from_o.f)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c + from_i.o + from_f.o + from_o.o)
        h = o * tanh(c)
        return h, c, i, f, o
