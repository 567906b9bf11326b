"""Sequences with one class each: texts, or series of numbers."""

from tidegate.data.labelled.gap import Gapped, complete
from tidegate.data.labelled.memory import in_memory
from tidegate.data.labelled.reader import read_labelled
from tidegate.data.labelled.record import Columns, Label, Labelled, Layout, Values, check_labels
from tidegate.data.labelled.table import each_row

__all__ = [
    "Columns",
    "Gapped",
    "Label",
    "Labelled",
    "Layout",
    "Values",
    "check_labels",
    "complete",
    "each_row",
    "in_memory",
    "read_labelled",
]
