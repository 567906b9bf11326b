"""The rows of a music model for an audit: pieces, and such of random chords."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tidegate.data import KEYS
from tidegate.train.batch import Batch
from tidegate.train.example import Examples

VOICES = 4


class Pieces(Examples[Any, torch.Tensor]):
    """Piano rolls [T, 88], whose first step is given."""

    what = "pieces"
    canary_is = f"a piece of chords of {VOICES} random keys"

    def rows(self, split: Any) -> list[torch.Tensor]:
        return [piece for piece in self.task.pieces[split] if len(piece) > 1]

    def length(self, row: torch.Tensor) -> int:
        return len(row)

    def canary(self, generator: np.random.Generator, steps: int) -> torch.Tensor:
        keys = generator.random((steps, KEYS)).argsort(1) < VOICES
        return torch.from_numpy(keys.astype(np.float32))

    def space(self, steps: int) -> float:
        return steps * math.log2(math.comb(KEYS, VOICES))

    def batch(self, rows: Sequence[torch.Tensor]) -> Batch:
        padded = torch.nn.utils.rnn.pad_sequence(list(rows))
        return Batch(padded[:-1], padded[1:], torch.tensor([len(row) - 1 for row in rows]))

    def _learning_from(self, task: Any, rows: Sequence[torch.Tensor]) -> None:
        task.pieces = {**task.pieces, "train": list(rows)}
