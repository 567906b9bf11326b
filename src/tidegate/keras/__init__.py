"""The recurrent layers of Keras 3, on torch, with Tidegate's engine under them.

``from tidegate.keras import LSTM`` in the place of ``from keras.layers import LSTM`` changes no result: constructors,
weights, masks, states, dropout and files are those of Keras, whose classes these extend.
"""

from tidegate.keras.backend import require_torch

require_torch()

from tidegate.keras.activation import hard_sigmoid_keras2  # noqa: E402  Keras is there from here on
from tidegate.keras.cell import PeepholeLSTMCell, RecurrentCell  # noqa: E402
from tidegate.keras.layer import GRU, LSTM, RNN, PeepholeLSTM, Recurrent, SimpleRNN  # noqa: E402

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "Recurrent",
    "RecurrentCell",
    "SimpleRNN",
    "hard_sigmoid_keras2",
]
