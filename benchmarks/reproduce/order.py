"""Row 4: temporal order, task 6a of Hochreiter and Schmidhuber 1997."""

from tidegate import tasks
from tidegate.setting import Synthetic

from .case import Case

SOURCE = "Hochreiter & Schmidhuber 1997, Neural Computation 9, section 5.6"
REMARK = (
    "There one sequence is an update, the gradient is truncated, and two cells share the gates of a block. Here: "
    "the cell of 1997, the full gradient, Adam, batches of 10, four cells that have gates of their own, one "
    "output layer: 10,000 sequences an epoch, of which the table has the best. Not the same experiment, so the "
    "number of weights and of sequences cannot be compared."
)


def _case(name: str, cell: str, hidden_size: int) -> Case:
    setting = Synthetic(
        cell=cell,
        length=100,
        steps=1000,
        hidden_size=hidden_size,
        learning_rate=1e-2,
        batch_size=10,
        epochs=8,
        patience=8,
        schedule="cosine",
    )
    return Case(name, lambda setting: tasks.TemporalOrder(setting=setting), setting, "solved", SOURCE, score="accuracy")


CASES = [_case("LSTM of 1997", "lstm1997", 4), _case("LSTM", "lstm", 4)]
