"""The GRU-D: a GRU for values that are missing and steps at uneven times."""

from tidegate.cell import Cell, exp, relu, sigmoid, tanh


class GRUD(Cell):
    """A GRU whose missing inputs fade from their last value to the mean, and whose state fades with time unseen.

    m is 1 where x was observed and 0 where it is missing, dt the time since the step before. A missing x is not read,
    but must be a number.
    """

    source = (
        "Che et al. 2018, Recurrent Neural Networks for Multivariate Time Series with Missing Values, arXiv 1606.01865"
    )
    differs = (
        "the mean of every variable is 0, so inputs must be standardised by their observed values; last values and the "
        "time since each was seen are states, which begin as 0; the authors' later code gives the gates 1 - m, not m, "
        "and keeps h as it was before it faded"
    )
    gates = "unseen value faded r z n"
    state = "h last:I gap:I"
    inputs = "r z n"
    matrices = {"U": "r z n", "V": "r z n", "D": "g"}
    vectors = "d_w:I d_b:I"
    biases = "W D"
    given = "dt:1 m:I"

    def step(self, x, h, last, gap, W, U, V, D, d, dt, m):
        unseen = gap + dt  # since each variable was observed
        value = m * x.raw + (1 - m) * exp(-relu(d.w * unseen + d.b)) * last
        faded = exp(-relu(D(unseen).g)) * h
        r = sigmoid(W(value).r + U(faded).r + V(m).r)
        z = sigmoid(W(value).z + U(faded).z + V(m).z)
        n = tanh(W(value).n + U(r * faded).n + V(m).n)
        h = (1 - z) * faded + z * n
        return h, m * x.raw + (1 - m) * last, (1 - m) * unseen
