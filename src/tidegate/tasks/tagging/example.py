"""The rows of a tagger for an audit: sentences with their tags."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidegate.tasks.tagging.batch import Words, padded
from tidegate.tasks.tagging.record import Sentence
from tidegate.train.example import Examples


class Sentences(Examples[Any, Sentence]):
    """Sentences with a tag for each word."""

    what = "sentences"
    canary_is = "a sentence of random known words with random tags"

    def rows(self, split: Any) -> list[Sentence]:
        return [one for one in self.task.parts[split].sentences if one.words]

    def length(self, row: Sentence) -> int:
        return len(row.words)

    def canary(self, generator: np.random.Generator, steps: int) -> Sentence:
        words, tags = self.task.encoding.words, self.task.encoding.tags
        chosen, kinds = generator.integers(len(words), size=steps), generator.integers(len(tags), size=steps)
        return Sentence(tuple(words[k] for k in chosen), tuple(tags[k] for k in kinds), "canary")

    def space(self, steps: int) -> float:
        return steps * (math.log2(len(self.task.encoding.words)) + math.log2(len(self.task.encoding.tags)))

    def batch(self, rows: Sequence[Sentence]) -> Words:
        encoding = self.task.encoding
        return padded(encoding.encode([row.words for row in rows]), [encoding.targets(row.tags) for row in rows])

    def _learning_from(self, task: Any, rows: Sequence[Sentence]) -> None:
        task.inputs = {**task.inputs, "train": task.encoding.encode([row.words for row in rows])}
        task.targets = {**task.targets, "train": [task.encoding.targets(row.tags) for row in rows]}
