"""The rows of a recogniser for an audit: recordings, and noise with words that nobody said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from tidegate.tasks.speech.utterance import Utterance
from tidegate.train.batch import Batch
from tidegate.train.example import Examples

FRAMES = 4  # steps of the network for each symbol, at least
CANARY = "canary"


class Recordings(Examples[Any, Utterance]):
    """Spectra with their transcripts."""

    what = "recordings"
    canary_is = "noise as loud as the recordings in each band, with a transcript of random symbols"

    def rows(self, split: Any) -> list[Utterance]:
        return list(self.task.utterances[split])

    def length(self, row: Utterance) -> int:
        return len(row.frames)

    def canary(self, generator: np.random.Generator, steps: int) -> Utterance:
        encoding = self.task.encoding
        noise = generator.standard_normal((steps, encoding.filterbank.bands))
        frames = torch.from_numpy(noise * np.array(encoding.sd) + np.array(encoding.mean)).float()
        count = max(1, min(8, steps // (FRAMES * encoding.stack)))
        symbols = [encoding.symbols[k] for k in generator.integers(len(encoding.symbols), size=count)]
        return Utterance(frames, (" " if encoding.words else "").join(symbols), CANARY)

    def batch(self, rows: Sequence[Utterance]) -> Batch:
        batch: Batch = self.task.batch(rows)
        return batch

    def _learning_from(self, task: Any, rows: Sequence[Utterance]) -> None:
        task.utterances = {**task.utterances, "train": list(rows)}
