"""Cells whose gates see the input alone: linear in the state, so that time can be scanned in parallel."""

from tidegate.cell import Cell, log_sigmoid, sigmoid


class MinGRU(Cell):
    """A GRU without any recurrent matrix."""

    source = "Feng et al. 2024, Were RNNs All We Needed?, arXiv 2410.01201"
    differs = "the plain form, not the one in log space, which keeps the candidate positive"
    gates = "z n"
    matrices: dict[str, str] = {}
    biases = "W"

    def step(self, x, h):
        z = sigmoid(x.z)
        n = x.n
        h = (1 - z) * h + z * n
        return h


class MinLSTM(Cell):
    """An LSTM without any recurrent matrix, with its two gates normalised to sum to one."""

    source = "Feng et al. 2024, Were RNNs All We Needed?, arXiv 2410.01201"
    differs = (
        "the candidate as in the plain form, not kept positive; the shares f / (f + i) and i / (f + i) are made of the "
        "logarithms of the gates, since both gates may be too small to be divided"
    )
    gates = "f i n"
    matrices: dict[str, str] = {}
    biases = "W"

    def step(self, x, h):
        log_f, log_i = log_sigmoid(x.f), log_sigmoid(x.i)
        f = sigmoid(log_f - log_i)
        i = sigmoid(log_i - log_f)
        n = x.n
        h = f * h + i * n
        return h
