"""The real-gated linear recurrent unit."""

from tidegate.cell import Cell, exp, log_sigmoid, maximum, sigmoid, sqrt

SHARPNESS = 8  # the exponent c of the decay


class RGLRU(Cell):
    """A decay for each unit that a gate slows down, and an input scaled to keep the size of the state."""

    source = "De et al. 2024, Griffin, arXiv 2402.19427"
    differs = (
        "full matrices for both gates, where the authors' are block diagonal; 1 - a^2 is held above 1e-6, where they "
        "bound the slope of its root; the first step scales its input as all do, which their code leaves out; it is "
        "a^8 that begins between 0.9 and 0.999, as in the paper, where a does in their code"
    )
    gates = "r i"
    input = "H"
    matrices: dict[str, str] = {}
    vectors = "decay"
    biases = "W"
    initial = {"decay": f"decay 0.9 0.999 {SHARPNESS}"}

    def step(self, x, h, decay):
        r = sigmoid(x.r)
        i = sigmoid(x.i)
        log_a = SHARPNESS * r * log_sigmoid(decay)
        h = exp(log_a) * h + sqrt(maximum(1 - exp(2 * log_a), 1e-6)) * (i * x.raw)
        return h
