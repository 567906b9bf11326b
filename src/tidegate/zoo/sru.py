"""The simple recurrent unit."""

from tidegate.cell import Cell, sigmoid


class SRU(Cell):
    """Gates see the input and the unit's own memory; the output is a highway around it."""

    source = "Lei, Zhang, Wang, Dai & Artzi 2018, Simple Recurrent Units, arXiv 1709.02755 (its second version)"
    differs = (
        "the input on the highway is not scaled, and its width is that of the units; weights begin as torch.nn's, with "
        "a third of the variance that the paper asks for"
    )
    gates = "n f r"
    state = "h c"
    input = "H"
    matrices: dict[str, str] = {}
    vectors = "v_f v_r"
    biases = {"W": "f r"}

    def step(self, x, h, c, v):
        n = x.n
        f = sigmoid(x.f + v.f * c)
        r = sigmoid(x.r + v.r * c)
        c = f * c + (1 - f) * n
        h = r * c + (1 - r) * x.raw
        return h, c
