"""The rows of a translator for an audit: pairs as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tidegate.tasks.translation.model import PairBatch
from tidegate.tasks.translation.pair import Coded, pairs_of
from tidegate.tasks.translation.vocabulary import END, SPECIAL, Vocabulary
from tidegate.train.example import Examples


class CodedPairs(Examples[Any, Coded]):
    """Pairs of sequences."""

    what = "pairs"
    canary_is = "random units of the source vocabulary with random units of the target vocabulary"
    nats = math.log(2)

    def rows(self, split: Any) -> list[Coded]:
        return list(self.task.coded[split])

    def length(self, row: Coded) -> int:
        return max(map(len, row))

    def canary(self, generator: np.random.Generator, steps: int) -> Coded:
        return _units(self.task.encoding.source, generator, steps), _units(self.task.encoding.target, generator, steps)

    def space(self, steps: int) -> float:
        sides = (self.task.encoding.source, self.task.encoding.target)
        return max(1, steps - 1) * sum(math.log2(len(side.units)) for side in sides)

    def batch(self, rows: Sequence[Coded]) -> PairBatch:
        return pairs_of(rows)

    def _learning_from(self, task: Any, rows: Sequence[Coded]) -> None:
        task.coded = {**task.coded, "train": list(rows)}


def _units(vocabulary: Vocabulary, generator: np.random.Generator, steps: int) -> torch.Tensor:
    numbers = generator.integers(SPECIAL, len(vocabulary), size=max(1, steps - 1))
    return torch.tensor([*numbers.tolist(), END])
