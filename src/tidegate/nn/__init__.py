"""The public torch modules."""

from tidegate.nn.layer import GRU, LSTM, RNN, PeepholeLSTM
from tidegate.nn.recurrent import Recurrent
from tidegate.nn.session import Session, Snapshot

__all__ = ["GRU", "LSTM", "RNN", "PeepholeLSTM", "Recurrent", "Session", "Snapshot"]
