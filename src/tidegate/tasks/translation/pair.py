"""Pairs of sequences as numbers, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from tidegate.tasks.translation.model import PairBatch
from tidegate.tasks.translation.vocabulary import BEGIN

Coded = tuple[torch.Tensor, torch.Tensor]


def pairs_of(pairs: Sequence[Coded]) -> PairBatch:
    """Pairs as one batch."""
    sources, targets = zip(*pairs, strict=True)
    padded = pad_sequence(list(targets))
    inputs = torch.cat([torch.full_like(padded[:1], BEGIN), padded[:-1]])
    return PairBatch(
        inputs,
        padded,
        torch.tensor([len(target) for target in targets]),
        sources=pad_sequence(list(sources)),
        source_lengths=torch.tensor([len(source) for source in sources]),
    )
