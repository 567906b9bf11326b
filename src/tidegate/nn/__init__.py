"""The public torch modules."""

from tidegate.nn.cell import GRUCell, LSTMCell, PeepholeLSTMCell, RecurrentCell, RNNCell
from tidegate.nn.layer import GRU, LSTM, RNN, PeepholeLSTM
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.session import Session, Snapshot
from tidegate.option import Options

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "Options",
    "PeepholeLSTM",
    "PeepholeLSTMCell",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "Session",
    "Snapshot",
]
