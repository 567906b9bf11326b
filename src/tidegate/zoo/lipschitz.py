"""The Lipschitz recurrent network."""

from tidegate.cell import Cell, tanh


class LipschitzRNN(Cell):
    """A linear part A and one behind tanh, each between symmetric and antisymmetric."""

    source = "Erichson, Azencot, Queiruga, Hodgkinson & Mahoney 2021, Lipschitz RNNs, arXiv 2006.12070"
    differs = "steps of Euler; beta is 0.75 for both matrices, so that each is M - M^T / 2"
    gates = "n"
    matrices = {"U": "n", "A": "a"}
    mirrored = {"U": -0.5, "A": -0.5}
    biases = "W"
    settings = {"epsilon": 0.03, "gamma": 0.001}

    def step(self, x, h, U, A):
        n = tanh(x.n + U(h).n - self.gamma * h)
        h = h + self.epsilon * (A(h).a - self.gamma * h + n)
        return h
