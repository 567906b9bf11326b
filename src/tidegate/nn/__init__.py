"""The public torch modules."""

from tidegate.nn.layer import GRU, LSTM, RNN, PeepholeLSTM
from tidegate.nn.recurrent import Recurrent

__all__ = ["GRU", "LSTM", "RNN", "PeepholeLSTM", "Recurrent"]
