"""Windows of rows to learn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import Window
from tidegate.tasks.forecast.setting import ForecastSetting


def windows(
    grid: Grid, learning: Sequence[int], setting: ForecastSetting, reach: int, order: torch.Generator
) -> Iterator[Window]:
    """The batches of an epoch: windows at equal distances, from an offset that is drawn for each series.

    Args:
        grid: the rows.
        learning: the series to learn from.
        setting: the length of a window and the size of a batch.
        reach: the rows ahead that each row has as targets.
        order: draws offsets and the order of windows.
    """
    parts = [_starts(grid, series, setting, order) for series in learning]
    starts, lengths, series = (torch.cat(part) for part in zip(*parts, strict=True))
    shuffled = torch.randperm(len(starts), generator=order)
    size = min(setting.batch_size, max(4, len(starts) // 8))
    for at in range(0, len(starts), size):
        rows = shuffled[at : at + size]
        longest = int(lengths[rows].max())
        ragged = lengths[rows] if (lengths[rows] < longest).any() else None
        yield grid.window(series[rows], starts[rows], longest, reach, lengths=ragged, blends=False)


def one_window(grid: Grid, series: Sequence[int], setting: ForecastSetting, reach: int) -> Window:
    """One window of each series, at a place that torch's global generator draws.

    Args:
        grid: the rows.
        series: to learn from.
        setting: the length of a window; a shorter series is read whole.
        reach: the rows ahead that each row has as targets.
    """
    room = torch.tensor([_room(grid, place) for place in series])
    lengths = room.clamp(max=setting.window)
    starts = torch.tensor([grid.spans[place].start + grid.encoding.reach for place in series])
    starts += (torch.rand(len(starts), dtype=torch.float64) * (room - lengths + 1)).long()
    return grid.window(torch.tensor(series), starts, int(lengths.max()), reach, lengths=lengths, blends=False)


def _room(grid: Grid, series: int) -> int:
    """The training rows of a series with all that their base reads before them and all targets after them."""
    span = grid.spans[series]
    return span.first - span.start - len(grid.encoding.change) - grid.encoding.reach


def _starts(
    grid: Grid, series: int, setting: ForecastSetting, order: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Start, length and series of each training window of a series."""
    span, steps = grid.spans[series], _room(grid, series)
    window = min(setting.window, max(1, steps // 2))
    least = (steps - window) * len(grid.spans) // 16  # short series: at least some steps an epoch
    stride = max(1, min(window // 2, least))
    offset = int(torch.randint(stride, (1,), generator=order))
    starts = span.start + grid.encoding.reach + torch.arange(offset, steps - window + 1, stride)
    return starts, torch.full_like(starts, window), torch.full_like(starts, series)
