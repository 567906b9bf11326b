"""The rows of a language model for an audit: passages of one window, and secret phrases of as many random symbols."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.tasks.language.passage import StreamBatch
from tidegate.train.example import Examples, in_memory

Passage = NDArray[np.int64]


class Phrases(Examples[Any, Passage]):
    """Passages of ``setting.window`` symbols, each with a state of its own; its first symbol is given."""

    what = "passages"
    canary_is = "a secret phrase of random symbols"
    nats = math.log(2)

    def rows(self, split: Any) -> list[Passage]:
        in_memory(self.task)
        first, last = self.task.bounds[split]
        symbols = self.task.symbols[first:last].astype(np.int64)
        parts = np.split(symbols, range(self.steps, len(symbols), self.steps))
        return [part for part in parts if len(part) > 1]

    def length(self, row: Passage) -> int:
        return len(row)

    @property
    def steps(self) -> int:
        """The length of a passage, which is a unit of private training, too."""
        return int(self.task.setting.window)

    def canary(self, generator: np.random.Generator, steps: int) -> Passage:
        return generator.integers(1, self.task.encoding.vocabulary, size=steps)

    def space(self, steps: int) -> float:
        return steps * math.log2(self.task.encoding.vocabulary - 1)

    def batch(self, rows: Sequence[Passage]) -> StreamBatch:
        padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(row) for row in rows])
        return StreamBatch(padded[:-1], padded[1:], torch.tensor([len(row) - 1 for row in rows]))

    def _learning_from(self, task: Any, rows: Sequence[Passage]) -> None:
        """Whole passages come first, so that each begins where a unit begins."""
        (first, last), kind = task.bounds["train"], task.symbols.dtype
        ordered = sorted(rows, key=lambda row: len(row) != self.steps)
        own = np.concatenate(ordered).astype(kind)
        symbols = np.concatenate([task.symbols[:first], own, task.symbols[last:]])
        train = first + len(own)
        begun = int(task.encoding.unit.begun[symbols[:train]].sum())
        sizes, counts = {**task.corpus.sizes, "train": train}, {**task.corpus.begun, "train": begun}
        task.take(replace(task.corpus, symbols=symbols, sizes=sizes, begun=counts))
