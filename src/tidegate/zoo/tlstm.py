"""The time-aware LSTM."""

from math import e

from tidegate.cell import Cell, log, sigmoid, tanh


class TLSTM(Cell):
    """An LSTM whose short-term memory, a learnt part s of c, fades with the time dt since the step before."""

    source = "Baytas et al. 2017, Patient Subtyping via Time-Aware LSTM Networks, doi 10.1145/3097983.3097997"
    differs = (
        "the decay is 1 / log(e + dt), one of the two that the paper names; s is a tanh, as in the paper and in the "
        "authors' autoencoder, while their classifier has a logistic s"
    )
    gates = "s f i o n"
    state = "h c"
    inputs = "f i o n"
    matrices = {"U": "f i o n", "D": "s"}
    biases = "W D"
    given = "dt:1"

    def step(self, x, h, c, U, D, dt):
        s = tanh(D(c).s)
        c = c - s + s / log(e + dt)
        f = sigmoid(x.f + U(h).f)
        i = sigmoid(x.i + U(h).i)
        o = sigmoid(x.o + U(h).o)
        n = tanh(x.n + U(h).n)
        c = f * c + i * n
        h = o * tanh(c)
        return h, c
