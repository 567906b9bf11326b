"""A text as parallel streams, cut into windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from tidegate.train.task import Batch

Passages = tuple[torch.Tensor, torch.Tensor]  # starts and lengths, [B] each


@dataclass(frozen=True)
class StreamBatch(Batch):
    """Some steps of parallel streams.

    Attributes:
        density: symbols per character in the split.
    """

    density: float = 1.0


def drawn(first: int, last: int, streams: int, window: int, epoch_size: int | None, order: torch.Generator) -> Passages:
    """Draw the passages of an epoch: one at a random place in each of several equal parts of the text.

    A passage is shorter than its part, by a window or an eighth of the part, so that epochs differ.
    """
    rows = _streams(last - first, streams, window)
    part = (last - first) // rows
    length = part - min(window, part // 8)
    if epoch_size is not None:
        length = min(length, max(1, epoch_size // rows))
    offsets = torch.randint(part - length + 1, (rows,), generator=order)
    return first + part * torch.arange(rows) + offsets, torch.full((rows,), length)


def whole(first: int, last: int, streams: int, window: int) -> Passages:
    """Passages that cover every symbol once; longer passages come first."""
    rows = _streams(last - first, streams, window)
    length, longer = divmod(last - first, rows)
    lengths = torch.tensor([length + (row < longer) for row in range(rows)])
    return first + lengths.cumsum(0) - lengths, lengths


def windows(symbols: torch.Tensor, passages: Passages, steps: int, density: float) -> Iterator[StreamBatch]:
    """Read passages as parallel streams, ``steps`` at a time; their lengths differ by at most one."""
    starts, lengths = passages
    short, longest = int(lengths.min()), int(lengths.max())
    edges = [*range(0, short, steps), longest]  # an odd last step joins the last window, so that no row is ever empty
    for begin, end in pairwise(edges):
        time = (starts + torch.arange(begin, end)[:, None]).clamp(max=len(symbols) - 1)  # [T, B]
        remaining = (lengths - begin).clamp(max=end - begin) if end > short else None
        yield StreamBatch(symbols[time - 1], symbols[time], remaining, starts=begin == 0, density=density)


def _streams(symbols: int, most: int, window: int) -> int:
    return min(most, max(1, symbols // (4 * window)))
