"""The GRU with time-delay feedback."""

from tidegate.cell import Cell, sigmoid, tanh


class TauGRU(Cell):
    """A GRU that also hears the state before the last one, p.

    A cell of your own hears an older one through a further state: ``state = "h p q"``, ``U(q).z``, and q becomes p.
    """

    source = "Erichson et al. 2022, Gated Recurrent Neural Networks with Weighted Time-Delay Feedback, arXiv 2212.00228"
    differs = (
        "a delay of one step, weights alpha and beta of 1, and two biases, as torchrecurrent 0.2.5 has it by default; "
        "held to that, as the paper was not at hand"
    )
    gates = "u z g a"
    state = "h p"

    def step(self, x, h, p, U):
        u = tanh(x.u + U(h).u)
        z = tanh(x.z + U(p).z)
        g = sigmoid(x.g + U(h).g)
        a = sigmoid(x.a + U(h).a)
        return (1 - g) * h + g * (u + a * z), h
