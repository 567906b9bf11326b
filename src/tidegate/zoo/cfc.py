"""The closed-form continuous-time network."""

from tidegate.cell import Cell, sigmoid, tanh


class CfC(Cell):
    """A cell that moves from f to g as time passes, how fast depends on input and state.

    dt is the time since the step before. The backbone k has a width of its own, K.
    """

    source = "Hasani et al. 2022, Closed-form Continuous-time Neural Networks, arXiv 2106.13898"
    differs = (
        "as the authors' package ncps has it: one layer as backbone with 1.7159 tanh(0.666 v), and a gate "
        "sigmoid(a dt + b) of two heads, where the paper prints sigmoid(-f dt); parameters begin as torch.nn's"
    )
    gates = "k f g s"
    inputs = "k:K"
    matrices = {"U": "k:K", "F": "f g a b"}
    biases = "W F"
    given = "dt:1"

    def step(self, x, h, U, F, dt):
        k = 1.7159 * tanh(0.666 * (x.k + U(h).k))
        f = tanh(F(k).f)
        g = tanh(F(k).g)
        s = sigmoid(F(k).a * dt + F(k).b)
        h = (1 - s) * f + s * g
        return h
