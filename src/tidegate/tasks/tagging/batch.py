"""Sentences in batches, and what a model says about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.tasks.tagging.encoding import STRANGE
from tidegate.train.bucket import bucketed
from tidegate.train.task import Batch

ROWS = 64  # of a batch that is only read


class Piece(NamedTuple):
    """A part of a sentence that is read at once: its sentence, its first word, and one past its last word."""

    sentence: int
    first: int
    last: int


@dataclass(frozen=True)
class Words(Batch):
    """Sentences with a tag for each word; targets are [T, B] int64, -1 where nothing is scored."""

    def scored(self) -> torch.Tensor:
        """[T, B] bool: words whose tag training knows."""
        return self.targets != STRANGE


def pieces(lengths: Sequence[int], longest: int) -> list[Piece]:
    """All sentences, those that are too long in several pieces.

    Examples:
        >>> [tuple(piece) for piece in pieces([2, 0, 5], longest=3)]
        [(0, 0, 2), (2, 0, 3), (2, 3, 5)]
    """
    return [
        Piece(k, first, min(first + longest, length))
        for k, length in enumerate(lengths)
        for first in range(0, length, longest)
    ]


def padded(inputs: Sequence[torch.Tensor], targets: Sequence[torch.Tensor]) -> Words:
    """A batch of these."""
    pad = torch.nn.utils.rnn.pad_sequence
    lengths = torch.tensor([len(one) for one in inputs])
    return Words(pad(list(inputs)), pad(list(targets), padding_value=STRANGE), lengths)


def probabilities(model: torch.nn.Module, sentences: Sequence[torch.Tensor], longest: int) -> list[NDArray[np.float64]]:
    """[T, tags] of each sentence.

    Args:
        model: of the task.
        sentences: [T, 2 + 8] each; they may be empty.
        longest: words that are read at once.
    """
    cut = pieces([len(one) for one in sentences], longest)
    read: dict[Piece, NDArray[np.float64]] = {}
    model.eval()
    with torch.inference_mode():
        for rows in bucketed(torch.tensor([piece.last - piece.first for piece in cut]), ROWS):
            own = [cut[row] for row in rows]
            inputs = [sentences[piece.sentence][piece.first : piece.last] for piece in own]
            outputs, _ = model(padded(inputs, [one[:, 0] for one in inputs]))
            chances = outputs.double().softmax(-1).numpy()
            read.update({piece: chances[: len(one), k] for k, (piece, one) in enumerate(zip(own, inputs, strict=True))})
    return _joined(read, len(sentences))


def _joined(read: dict[Piece, NDArray[np.float64]], count: int) -> list[NDArray[np.float64]]:
    parts: list[list[NDArray[np.float64]]] = [[] for _ in range(count)]
    for piece in sorted(read):
        parts[piece.sentence].append(read[piece])
    width = next((one.shape[1] for one in read.values()), 0)
    return [np.concatenate(own) if own else np.zeros((0, width)) for own in parts]
