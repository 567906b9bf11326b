"""Sequences of similar length, padded together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from tidegate.train.task import Batch


@dataclass(frozen=True)
class Sequences(Batch):
    """Sequences with one class each; targets are [B] int64 classes.

    Attributes:
        member: [B] the model of several that reads each sequence, in ascending order; None where there is one.
    """

    member: torch.Tensor | None = None

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the last step of each sequence."""
        assert self.lengths is not None
        return torch.arange(len(self.inputs))[:, None] == self.lengths - 1


def padded(sequences: Sequence[torch.Tensor], targets: torch.Tensor) -> Sequences:
    """Pad sequences, and the letters of their words, to one batch."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    if sequences[0].dim() == 2:
        width = max(sequence.shape[1] for sequence in sequences)
        sequences = [torch.nn.functional.pad(sequence, (0, width - sequence.shape[1])) for sequence in sequences]
    return Sequences(torch.nn.utils.rnn.pad_sequence(list(sequences)), targets, lengths)
