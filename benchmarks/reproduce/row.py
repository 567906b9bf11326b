"""All rows, in the order of the table."""

from dataclasses import dataclass

from . import ablation, adding, jsb, memory, nottingham
from .case import Case


@dataclass(frozen=True)
class Row:
    """A row: what is measured, and by which cases."""

    title: str
    cases: list[Case]


ROWS = {
    "jsb": Row("JSB chorales, NLL per step", jsb.CASES),
    "nottingham": Row("Nottingham, NLL per step", nottingham.CASES),
    "adding200": Row("adding problem, T = 200, mean squared error", adding.SHORT),
    "adding600": Row("adding problem, T = 600, mean squared error", adding.LONG),
    "ablation": Row("nine variants of the LSTM on JSB chorales, NLL per step", ablation.CASES),
    "copy": Row("copy memory, T = 1000, cross-entropy per step", memory.LONG),
    "selective": Row("selective copying, T = 256, accuracy", memory.SCALED),
}
