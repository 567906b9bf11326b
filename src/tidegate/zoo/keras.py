"""The recurrent cells of Keras: its order of storage, its biases, and its choice of activation functions.

They are readings of cells that the zoo has, so the zoo does not list them. ``tidegate.keras`` runs them, and a
weight of Keras's fits after a transposition.
"""

from collections.abc import Callable
from typing import Any

from tidegate.cell import Cell, exp, maximum, minimum, relu, sigmoid, tanh

SOURCE = "Keras 3.15, keras.layers"

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "linear": lambda v: v,
    "relu": relu,
    "relu6": lambda v: minimum(relu(v), 6.0),
    "hard_sigmoid": lambda v: minimum(relu(v + 3.0), 6.0) / 6.0,
    "hard_sigmoid_keras2": lambda v: minimum(relu(0.2 * v + 0.5), 1.0),  # what Keras 2 called hard_sigmoid
    "hard_tanh": lambda v: maximum(minimum(v, 1.0), -1.0),
    "silu": lambda v: v * sigmoid(v),
    "softsign": lambda v: v / (1.0 + maximum(v, -v)),
    "exponential": exp,
}
OF_CANDIDATES = tuple(FUNCTIONS)
OF_GATES = ("sigmoid", *(name for name in FUNCTIONS if name != "sigmoid"))


class SimpleRNN(Cell):
    """``keras.layers.SimpleRNN``."""

    source = SOURCE
    gates = "h"
    biases = "W"
    options = {"activation": OF_CANDIDATES}

    def step(self, x, h, U):
        phi = FUNCTIONS[self.activation]
        h = phi(x.h + U(h).h)
        return h


class LSTM(Cell):
    """``keras.layers.LSTM``."""

    source = SOURCE
    gates = "i f g o"
    state = "h c"
    biases = "W"
    options = {"activation": OF_CANDIDATES, "recurrent_activation": OF_GATES}

    def step(self, x, h, c, U):
        phi, gate = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        i = gate(x.i + U(h).i)
        f = gate(x.f + U(h).f)
        g = phi(x.g + U(h).g)
        o = gate(x.o + U(h).o)
        c = f * c + i * g
        h = o * phi(c)
        return h, c


class PeepholeLSTM(Cell):
    """The LSTM of Keras with peepholes: input and forget gate see the old cell state, the output gate the new one."""

    source = SOURCE
    gates = "i f g o"
    state = "h c"
    vectors = "p_i p_f p_o"
    biases = "W"
    options = {"activation": OF_CANDIDATES, "recurrent_activation": OF_GATES}

    def step(self, x, h, c, U, p):
        phi, gate = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        i = gate(x.i + U(h).i + p.i * c)
        f = gate(x.f + U(h).f + p.f * c)
        g = phi(x.g + U(h).g)
        c = f * c + i * g
        o = gate(x.o + U(h).o + p.o * c)
        h = o * phi(c)
        return h, c


class GRU(Cell):
    """``keras.layers.GRU`` with ``reset_after=True``."""

    source = SOURCE
    gates = "z r n"
    options = {"activation": OF_CANDIDATES, "recurrent_activation": OF_GATES}

    def step(self, x, h, U):
        phi, gate = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        z = gate(x.z + U(h).z)
        r = gate(x.r + U(h).r)
        n = phi(x.n + r * U(h).n)
        h = z * h + (1 - z) * n
        return h


class GRUBefore(Cell):
    """``keras.layers.GRU`` with ``reset_after=False``, which has one bias a gate."""

    source = SOURCE
    gates = "z r n"
    biases = "W"
    options = {"activation": OF_CANDIDATES, "recurrent_activation": OF_GATES}

    def step(self, x, h, U):
        phi, gate = FUNCTIONS[self.activation], FUNCTIONS[self.recurrent_activation]
        z = gate(x.z + U(h).z)
        r = gate(x.r + U(h).r)
        n = phi(x.n + U(r * h).n)
        h = z * h + (1 - z) * n
        return h


STORED = (SimpleRNN, LSTM, PeepholeLSTM, GRU, GRUBefore)
