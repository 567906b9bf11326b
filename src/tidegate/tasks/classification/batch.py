"""Sequences of similar length, padded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tidegate.train.task import Batch


@dataclass(frozen=True)
class Sequences(Batch):
    """Sequences with one answer each; targets are [B] int64 classes."""

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the last step of each, at which its answer is known."""
        assert self.lengths is not None
        return torch.arange(len(self.inputs))[:, None] == self.lengths - 1


def padded(sequences: Sequence[torch.Tensor], targets: torch.Tensor) -> Sequences:
    """A batch of these; the letters of words are padded, too."""
    lengths = torch.tensor([len(one) for one in sequences])
    if sequences[0].dim() == 2:
        width = max(one.shape[1] for one in sequences)
        sequences = [torch.nn.functional.pad(one, (0, width - one.shape[1])) for one in sequences]
    return Sequences(torch.nn.utils.rnn.pad_sequence(list(sequences)), targets, lengths)
