"""The recurrent highway network."""

from tidegate.cell import Cell, sigmoid, tanh


class RHN(Cell):
    """Three highway layers in each step; only the first sees the input."""

    source = "Zilly, Srivastava, Koutnik & Schmidhuber 2017, Recurrent Highway Networks, arXiv 1607.03474"
    differs = "three layers; what is not written is kept, so the carry gate is 1 - t, as in the paper's experiments"
    gates = "n1 t1 s1 n2 t2 s2 n3 t3"
    inputs = "n1 t1"
    matrices = {"U": "n1 t1 n2 t2 n3 t3"}
    biases = "U"
    initial = {f"bias_U.{gate}": "constant -2" for gate in ("t1", "t2", "t3")}

    def step(self, x, h, U):
        n1 = tanh(x.n1 + U(h).n1)
        t1 = sigmoid(x.t1 + U(h).t1)
        s1 = t1 * n1 + (1 - t1) * h
        n2 = tanh(U(s1).n2)
        t2 = sigmoid(U(s1).t2)
        s2 = t2 * n2 + (1 - t2) * s1
        n3 = tanh(U(s2).n3)
        t3 = sigmoid(U(s2).t3)
        h = t3 * n3 + (1 - t3) * s2
        return h
