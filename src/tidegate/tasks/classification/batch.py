"""Sequences of similar length, padded together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.train.batch import Batch


@dataclass(frozen=True)
class Sequences(Batch):
    """Sequences with one class each; targets are [B] int64 classes.

    Attributes:
        member: [B] the model of several that reads each sequence, in ascending order; None where there is one.
        beside: [classes, B] logits of votes that have not learnt from these sequences, to which a model's are added.
    """

    member: torch.Tensor | None = None
    beside: torch.Tensor | None = None

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the last step of each sequence."""
        assert self.lengths is not None
        return torch.arange(len(self.inputs))[:, None] == self.lengths - 1


Beside = Callable[[Sequences, list[int]], torch.Tensor]


class Batches(Sequence[Sequences]):
    """Batches that are read one by one.

    Args:
        sequences: in memory or on the disk.
        classes: [N] of each sequence.
        groups: the rows of each batch.
        beside: what becomes the logits [classes, B] of ``Sequences.beside``, from a batch and its rows.
    """

    def __init__(
        self,
        sequences: Sequence[torch.Tensor],
        classes: NDArray[Any],
        groups: Sequence[list[int]],
        beside: Beside | None = None,
    ) -> None:
        self._sequences, self._classes, self._groups, self._beside = sequences, classes, groups, beside

    def __len__(self) -> int:
        return len(self._groups)

    @overload
    def __getitem__(self, place: int) -> Sequences: ...
    @overload
    def __getitem__(self, place: slice) -> list[Sequences]: ...

    def __getitem__(self, place: int | slice) -> Sequences | list[Sequences]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        rows = self._groups[place]
        targets = torch.from_numpy(self._classes[rows].astype(np.int64))
        batch = padded([self._sequences[row] for row in rows], targets)
        return batch if self._beside is None else replace(batch, beside=self._beside(batch, rows))


def padded(sequences: Sequence[torch.Tensor], targets: torch.Tensor) -> Sequences:
    """Pad sequences, and the letters of their words, to one batch."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    if sequences[0].dim() == 2:
        width = max(sequence.shape[1] for sequence in sequences)
        sequences = [torch.nn.functional.pad(sequence, (0, width - sequence.shape[1])) for sequence in sequences]
    return Sequences(torch.nn.utils.rnn.pad_sequence(list(sequences)), targets, lengths)
