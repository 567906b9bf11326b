"""Cells whose gates see the input alone: linear in the state, so that time can be scanned in parallel."""

from tidegate.spec import Cell, sigmoid


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
    differs = "the plain form, not the one in log space, which keeps the candidate positive"
    gates = "f i n"
    matrices: dict[str, str] = {}
    biases = "W"

    def step(self, x, h):
        f = sigmoid(x.f)
        i = sigmoid(x.i)
        n = x.n
        h = f / (f + i) * h + i / (f + i) * n
        return h
