"""All rows, in the order of the table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import ablation, adding, jsb, memory, nottingham, order, pixels
from .case import Case


@dataclass(frozen=True)
class Row:
    """A row: what is measured, and by which cases.

    Attributes:
        title: of its section.
        source: who published the numbers.
        cases: the lines.
        remark: how the runs differ from the published ones, and why they miss where they do.
        reading: what else the results say, from all of them.
    """

    title: str
    source: str
    cases: list[Case]
    remark: str = ""
    reading: Callable[[list[dict[str, Any]]], str] | None = None


ROWS = {
    "jsb": Row("JSB chorales, NLL per step", jsb.SOURCE, jsb.CASES, jsb.REMARK),
    "nottingham": Row("Nottingham, NLL per step", nottingham.SOURCE, nottingham.CASES, nottingham.REMARK),
    "adding200": Row(
        "The adding problem, T = 200, mean squared error", "none for this length", adding.SHORT, adding.REMARK
    ),
    "adding600": Row("The adding problem, T = 600, mean squared error", adding.SOURCE, adding.LONG, adding.REMARK),
    "ablation": Row(
        "Nine LSTMs on JSB chorales, NLL per step", ablation.SOURCE, ablation.CASES, ablation.REMARK, ablation.reading
    ),
    "order": Row("Temporal order, accuracy", order.SOURCE, order.CASES, order.REMARK, order.reading),
    "pixels": Row("MNIST pixel by pixel, accuracy", pixels.SOURCE, pixels.CASES, pixels.REMARK),
    "copy": Row("Copy memory, T = 1000, cross-entropy per step", memory.COPY, memory.LONG, memory.COPY_REMARK),
    "selective": Row("Selective copying, T = 48, accuracy", memory.SELECTIVE, memory.SCALED, memory.SELECTIVE_REMARK),
}
