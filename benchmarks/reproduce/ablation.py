"""Row 5: the eight ablations of the LSTM on JSB chorales, Greff et al. 2017."""

from tidegate import tasks
from tidegate.setting import Music

from .case import Case

SOURCE = "Greff et al. 2017, arXiv 1503.04069"
VARIANTS = ("V", "NP", "CIFG", "NFG", "NOAF", "NIG", "NOG", "NIAF", "FGR")


def _case(cell: str) -> Case:
    setting = Music(
        cell=cell.lower(),
        hidden_size=100,
        dropout=0.2,
        learning_rate=4e-3,
        batch_size=16,
        epochs=250,
        patience=16,
        patience_rate=4,
    )
    return Case(cell, lambda setting: tasks.load("jsb", setting=setting), setting, "-", SOURCE)


CASES = [_case(cell) for cell in VARIANTS]
