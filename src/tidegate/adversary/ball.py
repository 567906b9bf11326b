"""The changes that are allowed: a ball around each row, in chosen places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import torch

from tidegate.errors import InputError

Norm = Literal["linf", "l2"]


@dataclass(frozen=True)
class Ball:
    """Changes of rows [T, B, ...] of which each has at most a norm, and is 0 where its mask is False.

    Equations:
        linf: max |change| <= radius;  l2: sqrt(sum change^2) <= radius, both over the free places of a row

    Attributes:
        norm: ``"linf"`` or ``"l2"``.
        radius: of every row, or [B] of each.
        mask: bool, broadcast against [T, B, ...]: where a change is allowed; None allows it everywhere.

    Raises:
        InputError: the norm is another one, or a radius is negative or not finite.
    """

    norm: Norm
    radius: float | torch.Tensor
    mask: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm):
            known = " or ".join(get_args(Norm))
            raise InputError("BALL_NORM", f"norm must be {known}, got {self.norm!r}", fix=f"use {known}")
        radius = torch.as_tensor(self.radius, dtype=torch.float64)
        if not (radius.isfinite() & (radius >= 0)).all():
            raise InputError(
                "BALL_RADIUS", f"radius must be finite and at least 0, got {self.radius}", fix="correct it"
            )

    def of(self, radius: float | torch.Tensor) -> Self:
        """The same ball with another radius."""
        return replace(self, radius=radius)

    def rows(self, rows: torch.Tensor) -> Self:
        """The ball of some rows alone.

        Args:
            rows: [K] int64, or [B] bool.
        """
        radius = self.radius[rows] if isinstance(self.radius, torch.Tensor) and self.radius.dim() else self.radius
        shared = self.mask is None or self.mask.shape[1] == 1
        return replace(self, radius=radius, mask=self.mask if shared else self.mask[:, rows])  # type: ignore[index]

    def project(self, change: torch.Tensor) -> torch.Tensor:
        """The nearest change of the ball, in the Euclidean sense; what is not finite becomes 0."""
        kept = self._masked(change.nan_to_num(0.0, 0.0, 0.0))
        radius = self._radius(kept)
        if self.norm == "linf":
            return kept.minimum(radius).maximum(-radius)
        norm = length(kept)
        return torch.where(norm > radius, kept * (radius / norm.clamp(min=torch.finfo(norm.dtype).tiny)), kept)

    def start(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A change drawn evenly from the ball, of the shape and type of ``x``."""
        radius = self._radius(x)
        if self.norm == "linf":
            return self.project((2 * torch.rand(x.shape, generator=generator).to(x) - 1) * radius)
        share = torch.rand(x.shape[1], generator=generator).to(x) ** (1 / self.free(x).clamp(min=1))
        return self.project(self.edge(x, generator) * _rowwise(share, x))

    def edge(self, x: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """A change drawn from where the ball ends: a corner of the cube, or a point of the sphere."""
        drawn = torch.randn(x.shape, generator=generator).to(x)
        return self.project(self.step(drawn, self.radius))

    def step(self, gradient: torch.Tensor, size: float | torch.Tensor) -> torch.Tensor:
        """The change of norm ``size`` along which a function of this gradient rises most; 0 where the gradient is 0.

        Args:
            gradient: [T, B, ...].
            size: of every row, or [B] of each.
        """
        kept, size = self._masked(gradient.nan_to_num(0.0, 0.0, 0.0)), _rowwise(size, gradient)
        if self.norm == "linf":
            return kept.sign() * size
        largest = _over_rows(kept.abs(), torch.amax)  # else the squares of tiny gradients would be 0
        kept = kept / torch.where(largest > 0, largest, torch.ones_like(largest))
        norm = length(kept)
        return kept * (size / torch.where(norm > 0, norm, torch.ones_like(norm)))

    def size(self, change: torch.Tensor) -> torch.Tensor:
        """[B] the norm of each row's change."""
        if self.norm == "linf":
            return _over_rows(change.abs(), torch.amax).reshape(-1)
        return length(change).reshape(-1)

    def moved(self, x: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
        """``x + change`` where changes are allowed, and the very bits of ``x`` elsewhere."""
        return x + change if self.mask is None else torch.where(self.mask, x + change, x)

    def free(self, x: torch.Tensor) -> torch.Tensor:
        """[B] the number of places of each row that may change."""
        mask = torch.ones_like(x) if self.mask is None else self.mask.expand(x.shape).to(x)
        return _over_rows(mask, torch.sum).reshape(-1)

    def _masked(self, values: torch.Tensor) -> torch.Tensor:
        return values if self.mask is None else torch.where(self.mask, values, torch.zeros_like(values))

    def _radius(self, like: torch.Tensor) -> torch.Tensor:
        return _rowwise(self.radius, like)


def length(change: torch.Tensor) -> torch.Tensor:
    """[1, B, 1, ...] the Euclidean length of each row, summed in float64."""
    return _over_rows(change.double().square(), torch.sum).sqrt().to(change)


def free(
    lengths: torch.Tensor,
    shape: Sequence[int],
    *,
    steps: tuple[int, int | None] | None = None,
    features: Sequence[int] | None = None,
) -> torch.Tensor:
    """[T, B, C] bool: the steps and features of rows that may change; never padding.

    Args:
        lengths: [B] int64 of the rows.
        shape: T, B and C.
        steps: the first step, and the one behind the last; None for all. Negative ones count from a row's end.
        features: the places of the features; None for all.
    """
    at = torch.arange(shape[0], device=lengths.device)[:, None]
    first, last = (0, None) if steps is None else steps
    begin = lengths + first if first < 0 else torch.full_like(lengths, first)
    end = lengths if last is None else (lengths + last if last < 0 else lengths.clamp(max=last))
    inside = (at >= begin) & (at < end) & (at < lengths)
    chosen = torch.ones(shape[2], dtype=torch.bool, device=lengths.device)
    if features is not None:
        chosen = torch.zeros_like(chosen)
        chosen[list(features)] = True
    return inside[..., None] & chosen


def _rowwise(values: float | torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """[1, B, 1, ...] from one number or [B]."""
    return torch.as_tensor(values).to(like).reshape(1, -1, *[1] * (like.dim() - 2))


def _over_rows(values: torch.Tensor, reduce: object) -> torch.Tensor:
    """Reduce all dimensions but that of rows, and keep them."""
    dims = [dim for dim in range(values.dim()) if dim != 1]
    return reduce(values, dim=dims, keepdim=True)  # type: ignore[operator,no-any-return]
