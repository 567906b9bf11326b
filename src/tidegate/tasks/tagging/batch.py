"""Batches of sentences, and the probabilities that a model gives to their tags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.tasks.tagging.encoding import STRANGE
from tidegate.train.batch import Batch
from tidegate.train.bucket import bucketed

ROWS = 64  # of a batch for prediction


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
    """Cut sentences that are too long into several pieces.

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
    """Pad sentences to a batch."""
    pad = torch.nn.utils.rnn.pad_sequence
    lengths = torch.tensor([len(words) for words in inputs])
    return Words(pad(list(inputs)), pad(list(targets), padding_value=STRANGE), lengths)


def probabilities(model: torch.nn.Module, sentences: Sequence[torch.Tensor], longest: int) -> list[NDArray[np.float64]]:
    """Tag probabilities [T, tags] of each sentence.

    Args:
        model: a model of the task.
        sentences: [T, 2 + 8] each; they may be empty.
        longest: the largest number of words to read at once.
    """
    cut = pieces([len(sentence) for sentence in sentences], longest)
    read: dict[Piece, NDArray[np.float64]] = {}
    model.eval()
    with torch.inference_mode():
        for rows in bucketed(torch.tensor([piece.last - piece.first for piece in cut]), ROWS):
            own = [cut[row] for row in rows]
            inputs = [sentences[piece.sentence][piece.first : piece.last] for piece in own]
            outputs, _ = model(padded(inputs, [words[:, 0] for words in inputs]))
            chances = outputs.double().softmax(-1).numpy()
            read |= {piece: chances[: piece.last - piece.first, k] for k, piece in enumerate(own)}
    return _joined(read, len(sentences))


def _joined(read: dict[Piece, NDArray[np.float64]], count: int) -> list[NDArray[np.float64]]:
    parts: list[list[NDArray[np.float64]]] = [[] for _ in range(count)]
    for piece in sorted(read):
        parts[piece.sentence].append(read[piece])
    width = next((chances.shape[1] for chances in read.values()), 0)
    return [np.concatenate(own) if own else np.zeros((0, width)) for own in parts]
