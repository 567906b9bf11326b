"""Batches of sequences of similar length, so that little is padded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, overload

import torch
from numpy.typing import NDArray

BLOCK, WINDOW = 4096, 64  # sequences of a block, and blocks that are shuffled together
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


class Blocks(Sequence[list[int]]):
    """The groups of a pass over many sequences, whose neighbours lie together on the disk.

    Blocks of neighbours come in an order that is drawn; ``WINDOW`` of them at a time are grouped as ``bucketed`` does,
    by a seed of their own, so that a pass can begin at any group.

    Args:
        lengths: [N] length of each sequence.
        size: the largest number of sequences in a group.
        order: draws the order of blocks and the seeds.
        spread: how far shuffling may mix lengths, in steps.
    """

    def __init__(self, lengths: NDArray[Any], size: int, order: torch.Generator, spread: float) -> None:
        self._lengths, self._size, self._spread = lengths, size, spread
        blocks = torch.randperm(-(-len(lengths) // BLOCK), generator=order)
        self._windows = blocks.split(WINDOW)
        self._seeds = torch.randint(1 << 62, (len(self._windows),), generator=order).tolist()
        counts = [sum(min(BLOCK, len(lengths) - BLOCK * block) for block in part.tolist()) for part in self._windows]
        self._begins: list[int] = [0, *accumulate(-(-count // size) for count in counts)]
        self._open: tuple[int, list[list[int]]] = (-1, [])

    def __len__(self) -> int:
        return self._begins[-1]

    @overload
    def __getitem__(self, place: int) -> list[int]: ...
    @overload
    def __getitem__(self, place: slice) -> list[list[int]]: ...

    def __getitem__(self, place: int | slice) -> list[int] | list[list[int]]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        window = bisect_right(self._begins, place) - 1
        if self._open[0] != window:
            self._open = (window, list(self._groups(window)))
        return self._open[1][place - self._begins[window]]

    def _groups(self, window: int) -> Iterator[list[int]]:
        rows = (BLOCK * self._windows[window][:, None] + torch.arange(BLOCK)).flatten()
        rows = rows[rows < len(self._lengths)]
        lengths = torch.from_numpy(self._lengths[rows.numpy()].astype("int64"))
        order = torch.Generator().manual_seed(self._seeds[window])
        for group in bucketed(lengths, self._size, order, spread=self._spread):
            yield rows[group].tolist()


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
