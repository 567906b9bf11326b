"""The residual LSTM."""

from tidegate.cell import Cell, sigmoid, tanh


class ResLSTM(Cell):
    """An LSTM with peepholes whose output gate also lets the input through."""

    source = "Kim, El-Khamy & Lee 2017, Residual LSTM, arXiv 1701.03360"
    differs = (
        "the shortcut has a matrix, W_s, at every width; held to torchrecurrent 0.2.5 and RecurrentLayers.jl, as the "
        "paper was not at hand"
    )
    gates = "i f g o"
    state = "h c"
    inputs = "i f g o s"
    matrices = {"U": "i f g o", "P": "s"}
    vectors = "p_i p_f p_o"
    biases = {"W": "i f g o"}

    def step(self, x, h, c, U, P, p):
        i = sigmoid(x.i + U(h).i + p.i * c)
        f = sigmoid(x.f + U(h).f + p.f * c)
        g = tanh(x.g + U(h).g)
        c = f * c + i * g
        o = sigmoid(x.o + U(h).o + p.o * c)
        h = o * (P(tanh(c)).s + x.s)
        return h, c
