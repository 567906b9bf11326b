"""Batches of sequences of similar length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator

import torch


def bucketed(
    lengths: torch.Tensor, size: int, order: torch.Generator | None = None, *, spread: float = 2.0
) -> Iterator[list[int]]:
    """Group the indices of sequences of similar length; each index appears once.

    Args:
        lengths: [N] length of each sequence.
        size: the largest number of sequences in a group.
        order: shuffles similar lengths and the groups; without it, the shortest sequences come first.
        spread: how far shuffling may mix lengths, in steps.

    Returns:
        An iterator over the groups, as lists of indices.
    """
    jitter = torch.zeros(len(lengths)) if order is None else spread * torch.rand(len(lengths), generator=order)
    ranking = torch.argsort(lengths + jitter, stable=True)
    groups = ranking.split(size)
    turns = range(len(groups)) if order is None else torch.randperm(len(groups), generator=order).tolist()
    for turn in turns:
        yield groups[turn].tolist()
