"""The rows of a classifier for an audit: sequences with their classes; canaries have neither meaning nor reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tidegate.data.labelled import Gapped
from tidegate.tasks.classification.baseline import Part
from tidegate.tasks.classification.batch import Batches, Sequences
from tidegate.tasks.classification.encoding import Vocabulary
from tidegate.tasks.classification.scale import Observed, Scale
from tidegate.train.example import Examples, in_memory

Row = tuple[Any, int]  # a text or a series, and the place of its class


class Labelled(Examples[Any, Row]):
    """Sequences with their classes."""

    what = "sequences"
    canary_is = "random units of the vocabulary, or noise as strong as the series, with a random class"
    cached = ("_counts", "known", "ballot", "_rivals")

    def rows(self, split: Any) -> list[Row]:
        in_memory(self.task)
        part = self.task.parts[split]
        return list(zip(part.items, part.classes.tolist(), strict=True))

    def length(self, row: Row) -> int:
        return len(self.task.encoding.reading.encode(row[0]))

    def canary(self, generator: np.random.Generator, steps: int) -> Row:
        kind = int(generator.integers(len(self.task.encoding.classes)))
        reading = self.task.encoding.reading
        if isinstance(reading, Vocabulary):
            units = [reading.units[place] for place in generator.integers(len(reading.units), size=steps)]
            return (" " if reading.unit == "word" else "").join(units), kind
        return _noise(reading, generator, steps * reading.frame), kind

    def space(self, steps: int) -> float:
        reading = self.task.encoding.reading
        if not isinstance(reading, Vocabulary):
            return math.inf
        return steps * math.log2(len(reading.units)) + math.log2(len(self.task.encoding.classes))

    def batch(self, rows: Sequence[Row]) -> Sequences:
        items = [self.task.encoding.reading.encode(item) for item, _ in rows]
        return Batches(items, np.array([kind for _, kind in rows]), [list(range(len(rows)))])[0]

    def _learning_from(self, task: Any, rows: Sequence[Row]) -> None:
        items, classes = tuple(item for item, _ in rows), np.array([kind for _, kind in rows], dtype=np.int64)
        task.parts = {**task.parts, "train": Part(items, classes)}
        task.sequences = {**task.sequences, "train": [task.encoding.reading.encode(item) for item in items]}
        task.content = replace(task.content, stored=None)


def _noise(reading: Scale, generator: np.random.Generator, steps: int) -> Any:
    """A series of white noise with the mean and the deviation of each channel."""
    values = np.array(reading.mean) + np.array(reading.sd) * generator.standard_normal((steps, reading.channels))
    if isinstance(reading, Observed) and reading.step:
        return Gapped(values, reading.step * np.arange(steps, dtype=np.float64))
    return values
