"""The linear recurrent unit, with a complex number for each unit."""

from tidegate.cell import Cell, exp


class LRU(Cell):
    """A complex state h + ik that turns and shrinks at every step; the output is its real part."""

    source = "Orvieto et al. 2023, Resurrecting Recurrent Neural Networks for Long Sequences, arXiv 2303.06349"
    differs = (
        "the output is the real part h, which the next layer multiplies, where the paper has C h + D x; the angle is "
        "held as u = tan(angle / 2), which takes no sine; W is drawn as in torch.nn"
    )
    gates = "a b"
    state = "h k"
    matrices: dict[str, str] = {}
    vectors = "nu u gamma"
    biases = ""
    initial = {"nu": "ring 0 1", "u": "phase 0 6.2831853", "gamma": "ring_gain nu"}

    def step(self, x, h, k, nu, u, gamma):
        size = exp(-exp(nu)) / (1 + u * u)
        cosine, sine = size * (1 - u * u), size * (2 * u)
        a, b = exp(gamma) * x.a, exp(gamma) * x.b
        return cosine * h - sine * k + a, sine * h + cosine * k + b
