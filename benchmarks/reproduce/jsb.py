"""Row 1: JSB chorales, Bai et al. 2018, Table 1."""

from tidegate import tasks
from tidegate.setting import Music

from .case import Case

SOURCE = "Bai et al. 2018, arXiv 1803.01271, Table 1"
REMARK = (
    "One layer. The published models are tuned to the size of the authors' convolutional one, without their sizes"
    " being printed; units and rates here are those that validated best among four to seven with a seed that is "
    "not in the table."
)


def _case(name: str, published: str, cell: str, hidden_size: int, learning_rate: float) -> Case:
    setting = Music(
        cell=cell,
        hidden_size=hidden_size,
        dropout=0.2,
        learning_rate=learning_rate,
        batch_size=16,
        epochs=250,
        patience=16,
        patience_rate=4,
    )
    return Case(name, lambda setting: tasks.load("jsb", setting=setting), setting, published, SOURCE)


CASES = [
    _case("LSTM", "8.45", "lstm", 100, 4e-3),
    _case("GRU", "8.43", "gru", 200, 1e-2),
    _case("RNN", "8.91", "rnn", 200, 1e-3),
]
