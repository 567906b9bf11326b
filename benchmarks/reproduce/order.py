"""Row 4: temporal order, task 6a of Hochreiter and Schmidhuber 1997."""

from typing import Any

from tidegate.tasks.synthetic.setting import SyntheticSetting
from tidegate.tasks.synthetic.task import TemporalOrder

from .case import Case, results_of

SOURCE = "Hochreiter & Schmidhuber 1997, Neural Computation 9, section 5.6"
SOLVED = 0.02  # nats on validation: hardly a sequence is answered wrongly
REMARK = (
    "There one sequence is an update, the gradient is truncated, and two cells share the gates of a block. Here: "
    "the cell of 1997, the full gradient, Adam, batches of 10, four cells that have gates of their own, one "
    "output layer, 160,000 sequences at most. Not the same experiment, so the number of weights and of sequences "
    "cannot be compared. Most runs that miss stay at chance; one sequence an update, tried on four seeds, "
    "left it as often."
)


def _case(name: str, cell: str, hidden_size: int, **options: float) -> Case:
    setting = SyntheticSetting(
        cell=cell,
        length=100,
        steps=1000,
        hidden_size=hidden_size,
        learning_rate=1e-2,
        batch_size=10,
        epochs=16,
        patience=16,
        schedule="cosine",
        patience_rate=2,  # as in the stored runs; a cosine does not read it
    )
    return Case(
        name, lambda setting: TemporalOrder(setting=setting), setting, "solved", SOURCE, dict(options), "accuracy"
    )


CASES = [_case("LSTM of 1997", "lstm1997", 4), _case("LSTM", "lstm", 4, forget_bias=3.0)]


def reading(records: list[dict[str, Any]]) -> str:
    """In how many runs the problem was solved, and after how many sequences."""
    lines = []
    for case in CASES:
        runs = list(results_of(case, records))
        sequences = case.setting.steps * case.setting.batch_size  # of an epoch
        solved = [
            sequences * next(epoch for epoch, valid in enumerate(run["curve"], 1) if valid < SOLVED)
            for run in runs
            if run["scores"]["accuracy"] == 1.0 and min(run["curve"]) < SOLVED
        ]
        when = f", first after {min(solved):,} to {max(solved):,} sequences" if solved else ""
        lines.append(f"{case.name}: solved in {len(solved)} of {len(runs)} runs{when}.")
    return "\n\n" + " ".join(lines)
