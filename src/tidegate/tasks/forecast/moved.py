"""What a window becomes where the data that it was made of change."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn.functional import pad

from tidegate.tasks.forecast.encoding import ForecastEncoding
from tidegate.tasks.forecast.grid import Grid
from tidegate.tasks.forecast.model import Window, per_step
from tidegate.tasks.forecast.ridge import Linear


def moved(grid: Grid, window: Window, change: torch.Tensor) -> Window:
    """The window that the grid would make of changed data; differentiable by the change.

    The target stands in several inputs: as its level, less the mean of the last rows, and as its change from row to
    row. The base of a forecast, and the plain forecast beside it, are read from it as well, so both move. Rows before
    the window and what is forecast stay as they are.

    Args:
        grid: the rows.
        window: made by it.
        change: [T, B, columns] in standard deviations, the target first; 0 in padding.
    """
    encoding, own = grid.encoding, change[..., 0]
    steps, columns = window.targets.shape[-1], change.shape[-1]
    at = window.first + torch.arange(len(own))[:, None] - _starts(grid)[window.series]  # [T, B] rows of their series
    there = pliable(grid, window)[..., 0]
    early = torch.where(at[0] == 0, own[0], torch.zeros_like(own[0]))  # a series is as before as it begins
    past = torch.cat([early.expand(max(1, encoding.early), -1), own])
    before = past[-len(own) - 1 : -1]
    pace = torch.where(there, own - before, torch.zeros_like(own)) / encoding.pace
    inputs = torch.cat([(own - _mean(own, at, encoding.centre))[..., None], change[..., 1:], pace[..., None]], -1)
    inputs = torch.where(there[..., None], inputs, torch.zeros_like(inputs))
    scale = per_step(encoding.change, steps).to(own.dtype)
    base = _forecast(encoding, encoding.difference, encoding.own, past, len(own), steps) / scale
    plain = window.plain
    if plain is not None:
        beside = _forecast(encoding, encoding.plain, encoding.forecaster, past, len(own), steps) / scale
        plain = plain + (beside - base)[-len(plain) :]
    return replace(
        window,
        inputs=window.inputs + pad(inputs, (0, window.inputs.shape[-1] - columns - 1)),
        levels=window.levels + own,
        moved=base,
        plain=plain,
    )


def pliable(grid: Grid, window: Window) -> torch.Tensor:
    """[T, B, columns] bool: the target and the other columns in each row; what is known ahead does not change."""
    steps, rows = window.inputs.shape[:2]
    ends = torch.full((rows,), steps) if window.lengths is None else window.lengths
    return (torch.arange(steps)[:, None] < ends)[..., None].expand(-1, -1, len(grid.encoding.columns))


def _starts(grid: Grid) -> torch.Tensor:
    return torch.tensor([span.start for span in grid.spans])


def _mean(own: torch.Tensor, at: torch.Tensor, rows: int) -> torch.Tensor:
    """[T, B] the mean of the last ``rows`` values, or of all since the series began."""
    if not rows:
        return torch.zeros_like(own)
    sums = pad(own.cumsum(0), (0, 0, rows, 0))
    return (sums[rows:] - sums[:-rows]) / (at + 1).clamp(1, rows)


def _forecast(
    encoding: ForecastEncoding, kind: str, linear: Linear | None, past: torch.Tensor, rows: int, steps: int
) -> torch.Tensor:
    """[rows, B, steps] how a forecast from each of the last rows moves; all of them are linear in the rows before."""
    if kind == "linear":
        assert linear is not None
        one = torch.eye(linear.order, dtype=torch.float64).numpy()
        weights = torch.from_numpy(linear.continued(one, steps) - linear.continued(0 * one[:1], steps))
        return past.unfold(0, linear.order, 1)[-rows:] @ weights.to(past.dtype)
    if kind in ("", "none"):
        return past.new_zeros(rows, past.shape[1], steps)
    ahead = torch.arange(1, steps + 1)
    back = 0 * ahead if kind == "last" else ahead - encoding.season * -(-ahead // encoding.season)
    time = torch.arange(len(past) - rows, len(past))[:, None] + back
    return past[time].movedim(1, 2)
