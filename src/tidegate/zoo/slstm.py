"""The LSTM with exponential gates and a scalar memory."""

from tidegate.cell import Cell, exp, log_sigmoid, maximum, relu, sigmoid, tanh

NOTHING = 1e30  # how far below every gate the scale of an empty memory lies


class SLSTM(Cell):
    """An LSTM with exponential gates: n counts what c was written with, m keeps both small.

    ``forget`` says whether the forget gate is logistic or exponential too. The gates i and f are reported
    as they act, divided by exp(m).
    """

    source = "Beck et al. 2024, xLSTM: Extended Long Short-Term Memory, arXiv 2405.04517"
    differs = (
        "one head, unless heads= gives a layer more, those of U alone (in layers of tidegate.convert.from_xlstm W has "
        "heads too, as theirs has); what stands around the cell in an xLSTM block is not part of it; "
        "a memory with n below 1/2, which no step leaves, is empty whatever its m, so that states of zeros are safe"
    )
    gates = "i f z o"
    state = "h c n m"
    biases = "W"
    options = {"forget": ("sigmoid", "exp")}

    def step(self, x, h, c, n, m, U):
        log_i = x.i + U(h).i
        log_f = x.f + U(h).f
        log_f = log_sigmoid(log_f) if self.forget == "sigmoid" else log_f
        z = tanh(x.z + U(h).z)
        o = sigmoid(x.o + U(h).o)
        log_kept = log_f + (m - NOTHING * relu(1 - 2 * n))  # n is 0 in an empty memory and never again below 1
        m = maximum(log_kept, log_i)
        i = exp(log_i - m)
        f = exp(log_kept - m)
        c = f * c + i * z
        n = f * n + i
        h = o * (c / n)
        return h, c, n, m
