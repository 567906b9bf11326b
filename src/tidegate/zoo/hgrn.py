"""The hierarchically gated recurrent network."""

from tidegate.cell import Cell, sigmoid


class HGRN(Cell):
    """A complex state p + iq with a forget gate above a learned bound, and an output gate."""

    source = "Qin, Yang & Zhong 2023, Hierarchically Gated Recurrent Neural Network, arXiv 2311.04823"
    differs = (
        "the bound is sigmoid(low) of each layer by itself, not a cumulative softmax over layers; the output is the "
        "real part alone, without layer norm; the output gate is logistic, where the authors' code has v sigmoid(v); "
        "the angle is held as u = tan(angle / 2), which takes no sine"
    )
    gates = "f o"
    state = "h p q"
    inputs = "f o a b"
    matrices: dict[str, str] = {}
    vectors = "low u"
    biases = "W"
    initial = {"u": "frequencies 10000"}

    def step(self, x, h, p, q, low, u):
        bound = sigmoid(low)
        f = bound + (1 - bound) * sigmoid(x.f)
        o = sigmoid(x.o)
        size = f / (1 + u * u)
        cosine, sine = size * (1 - u * u), size * (2 * u)
        a, b = x.a * sigmoid(x.a), x.b * sigmoid(x.b)
        p, q = cosine * p - sine * q + (1 - f) * a, sine * p + cosine * q + (1 - f) * b
        h = o * p
        return h, p, q
