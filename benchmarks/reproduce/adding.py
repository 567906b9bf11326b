"""Row 3: the adding problem over 200 and 600 steps, Bai et al. 2018, Table 1."""

from tidegate import tasks
from tidegate.setting import Synthetic

from .case import Case

SOURCE = "Bai et al. 2018, arXiv 1803.01271, Table 1"


def _case(name: str, published: str, cell: str, length: int, hidden_size: int, epochs: int, **options: float) -> Case:
    setting = Synthetic(
        cell=cell,
        length=length,
        hidden_size=hidden_size,
        learning_rate=2e-3,
        batch_size=32,
        epochs=epochs,
        patience=epochs,  # nothing improves for long before a cell finds the way
        schedule="cosine",
    )
    source = SOURCE if length == 600 else "this project's pilot"
    return Case(name, lambda setting: tasks.Adding(setting=setting), setting, published, source, dict(options))


SHORT = [
    _case("LSTM, forget bias 5", "6e-4", "lstm", 200, 77, 100, forget_bias=5.0),
    _case("GRU", "4.6e-5", "gru", 200, 88, 100),
    _case("tanh RNN", "not learnt", "rnn", 200, 155, 100),
]
LONG = [
    _case("GRU", "5.3e-5", "gru", 600, 128, 60),
    _case("LSTM", "0.164", "lstm", 600, 110, 60),
    _case("LSTM, forget bias 5", "-", "lstm", 600, 110, 60, forget_bias=5.0),
    _case("tanh RNN", "0.177", "rnn", 600, 220, 30),
]
