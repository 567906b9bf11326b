"""The simple gated recurrent network."""

from tidegate.cell import Cell, sigmoid, tanh


class SGRN(Cell):
    """One gate, whose product of the input is the candidate as well."""

    source = "Zu & Wei 2020, A Simple Gated Recurrent Network, doi 10.1049/gtd2.12056"
    differs = "read in LuxRecurrentLayers.jl, as the paper was not at hand: the candidate has no bias"
    gates = "f"
    biases = "U"

    def step(self, x, h, U):
        f = sigmoid(x.f + U(h).f)
        h = tanh((1 - f) * x.f + f * h)
        return h
