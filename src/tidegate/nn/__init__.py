"""The public torch modules."""

from tidegate.nn.cell import RecurrentCell
from tidegate.nn.layer import GRU, LSTM, RNN, PeepholeLSTM
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.session import Session, Snapshot
from tidegate.nn.step import GRUCell, LSTMCell, PeepholeLSTMCell, RNNCell
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
