"""Sequences that are run together, and what a task measures on them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any, Self

import torch


@dataclass(frozen=True)
class Batch:
    """Sequences that are run together.

    Attributes:
        inputs: [T, B, features] float, or [T, B] token ids.
        targets: the targets of the loss.
        lengths: [B] valid steps of each row, or None if all rows are full.
        starts: True for the first batch of a stream; False continues from the (detached) state of the previous batch.
        context: the number of leading steps that only warm up the state: they are neither scored nor learnt from.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    lengths: torch.Tensor | None = None
    starts: bool = True
    context: int = 0

    def share(self, rank: int, size: int) -> Self:
        """The rows of one of several processes: every size-th row, from row ``rank`` on."""
        rows: dict[str, Any] = {
            field.name: value[:, rank::size] if value.dim() > 1 else value[rank::size]
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **rows)

    def to(self, dtype: torch.dtype) -> Self:
        """The same batch with all floating-point tensors converted to ``dtype``."""
        floats: dict[str, Any] = {
            field.name: value.to(dtype)
            for field in dataclasses.fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor) and value.is_floating_point()
        }
        return replace(self, **floats)

    def scored(self) -> torch.Tensor:
        """[T, B] bool: the steps that count, neither context nor padding."""
        steps, rows = self.inputs.shape[:2]
        time = torch.arange(steps, device=self.inputs.device)[:, None]
        ends = torch.full((rows,), steps) if self.lengths is None else self.lengths
        return (time >= self.context) & (time < ends.to(time.device))


@dataclass(frozen=True)
class Measure:
    """Sums over one batch.

    Attributes:
        loss: the loss to minimise.
        error: the metric's error.
        count: the number of terms in each sum.
    """

    loss: torch.Tensor
    error: float
    count: int
