"""Sequences with one class each: texts, or series of numbers."""

from tidegate.data.labelled.memory import in_memory
from tidegate.data.labelled.reader import read_labelled
from tidegate.data.labelled.record import Label, Labelled, Layout, Values

__all__ = ["Label", "Labelled", "Layout", "Values", "in_memory", "read_labelled"]
