"""The simple gated recurrent network."""

from tidegate.cell import Cell, sigmoid, tanh


class SGRN(Cell):
    """One gate, whose product of the input is the candidate as well."""

    source = "SGRN, IET Generation, Transmission & Distribution 2021, doi 10.1049/gtd2.12056"
    differs = "read in torchrecurrent 0.2.5, as the paper was not at hand"
    gates = "f"

    def step(self, x, h, U):
        f = sigmoid(x.f + U(h).f)
        h = tanh((1 - f) * x.f + f * h)
        return h
