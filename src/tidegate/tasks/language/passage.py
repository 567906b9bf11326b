"""A text as parallel streams, cut into windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.train.batch import Batch

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


class Windows(Sequence[StreamBatch]):
    """Passages one after another, each set read as parallel streams, ``steps`` at a time.

    Only a window that is asked for is read, so that training can begin at any of them.

    Args:
        symbols: [symbols] in memory or on the disk.
        passages: sets of passages of the same lengths, which differ by at most one.
        steps: of a window; an odd last step joins the last window, so that no row is ever empty.
        density: symbols per character in the split.
    """

    def __init__(self, symbols: NDArray[Any], passages: Sequence[Passages], steps: int, density: float) -> None:
        self._symbols, self._passages, self._density = symbols, passages, density
        lengths = passages[0][1]
        self._short, longest = int(lengths.min()), int(lengths.max())
        self._edges = [*range(0, self._short, steps), longest]

    def __len__(self) -> int:
        return len(self._passages) * (len(self._edges) - 1)

    @overload
    def __getitem__(self, place: int) -> StreamBatch: ...
    @overload
    def __getitem__(self, place: slice) -> list[StreamBatch]: ...

    def __getitem__(self, place: int | slice) -> StreamBatch | list[StreamBatch]:
        if isinstance(place, slice):
            return [self[at] for at in range(*place.indices(len(self)))]
        if not 0 <= place < len(self):
            raise IndexError(place)
        passage, window = divmod(place, len(self._edges) - 1)
        starts, lengths = self._passages[passage]
        begin, end = self._edges[window : window + 2]
        time = (starts + torch.arange(begin, end)[:, None]).clamp(max=len(self._symbols) - 1)  # [T, B]
        remaining = (lengths - begin).clamp(max=end - begin) if end > self._short else None
        return StreamBatch(self._read(time - 1), self._read(time), remaining, starts=begin == 0, density=self._density)

    def _read(self, time: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._symbols[time.numpy()].astype(np.int64))


def passage_batch(symbols: NDArray[Any], passages: Passages, density: float) -> StreamBatch:
    """Whole passages, which may differ in length, each from an initial state.

    Args:
        symbols: [symbols] in memory or on the disk.
        passages: where each begins, behind a symbol that is given, and its length.
        density: symbols per character in the split.
    """
    starts, lengths = passages
    time = (starts + torch.arange(int(lengths.max()))[:, None]).clamp(max=len(symbols) - 1)  # [T, B]
    inputs, targets = (torch.from_numpy(symbols[at.numpy()].astype(np.int64)) for at in (time - 1, time))
    return StreamBatch(inputs, targets, lengths, density=density)


def _streams(symbols: int, most: int, window: int) -> int:
    return min(most, max(1, symbols // (4 * window)))
