"""Batches of sequences of similar length, so that little is padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

PADDED_STEPS = 1 << 16  # the largest number of steps in a group of `by_length`, padding included


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


def by_length(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Group the indices of sequences from the shortest to the longest; groups of long sequences are smaller.

    Args:
        lengths: length of each sequence.
        size: the largest number of sequences in a group.
    """
    ranking = sorted(range(len(lengths)), key=lengths.__getitem__)
    groups: list[list[int]] = []
    for index in ranking:
        if not groups or len(groups[-1]) >= size or (len(groups[-1]) + 1) * lengths[index] > PADDED_STEPS:
            groups.append([])
        groups[-1].append(index)
    return groups
