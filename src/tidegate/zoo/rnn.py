"""The simple recurrent network."""

from tidegate.cell import Cell, relu, tanh


class RNN(Cell):
    """One matrix, one squashing function, no gate."""

    source = "Elman 1990, Finding Structure in Time, Cognitive Science 14"
    differs = "tanh or relu instead of the logistic function; two biases, as in torch.nn.RNN"
    gates = "h"
    options = {"nonlinearity": ("tanh", "relu")}

    def step(self, x, h, U):
        phi = {"tanh": tanh, "relu": relu}[self.nonlinearity]
        h = phi(x.h + U(h).h)
        return h
