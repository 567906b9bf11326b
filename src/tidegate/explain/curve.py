"""Curves of a gradient by lag: plain tensors, and what is read off them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tidegate.errors import InputError
from tidegate.explain.bound import Bound

REFERENCE = 1  # the lag that others are compared with: at lag 0 some states have not been read by any step yet
QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class LagCurve:
    """The gradient by lag of one direction of one layer, or of a whole stack.

    Lag k of a sequence is k steps before the last one that its loss depends on; in the direction that reads from the
    end, k steps after it. Lags end where the sequence begins, or at its last reset.

    Attributes:
        layer: the path of the layer in the model.
        number: which layer of its stack, from 0; None for the stack as a whole.
        reverse: whether this is the direction that reads from the end.
        norms: log10 of |dL/ds| of all states together, [lags, B]; -inf for zero, NaN where there is no such step.
        states: the same of each state by itself.
        ends: the step of lag 0 of each sequence, [B]; -1 where the loss depends on no state.
        bound: what the norms cannot exceed, for the sequences that were asked for; None if it was not asked for.
        unbounded: why no bound holds; empty if one does.
    """

    layer: str
    number: int | None
    reverse: bool
    norms: torch.Tensor = field(repr=False)
    states: Mapping[str, torch.Tensor] = field(repr=False)
    ends: torch.Tensor = field(repr=False)
    bound: Bound | None = field(default=None, repr=False)
    unbounded: str = ""

    @property
    def name(self) -> str:
        """The path of the layer, and which part of it where it has several."""
        part = "" if self.number is None else f" layer {self.number}"
        return f"{self.layer}{part}{' reverse' if self.reverse else ''}"

    @property
    def lags(self) -> int:
        """The number of lags from 0 on."""
        return len(self.norms)

    @property
    def ratio(self) -> torch.Tensor:
        """log10 of |dL/ds| at each lag over that at lag 1, [lags, B]; NaN for sequences that have no lag 1.

        -inf from lag 1 on where it is zero there already.
        """
        if self.lags <= REFERENCE:
            return torch.full_like(self.norms, math.nan)
        reference = self.norms[REFERENCE]
        relative = self.norms - torch.where(reference.isfinite(), reference, math.nan)
        gone = (self.norms == -math.inf) & (reference == -math.inf)
        return relative.masked_fill(gone, -math.inf)

    @property
    def quartiles(self) -> torch.Tensor:
        """The quartiles of ``ratio`` over the sequences, [3, lags]."""
        return torch.stack([self.ratio.nanquantile(q, dim=1, interpolation="nearest") for q in QUARTILES])

    @property
    def mean(self) -> torch.Tensor:
        """The mean of ``ratio`` over the sequences, [lags]."""
        return self.ratio.nanmean(dim=1)

    @property
    def slope(self) -> float:
        """The exponent lambda: by how much ln |dL/ds| changes a step further back, a least-squares line from lag 1 on.

        Of the sequences the mean, each counted by its lags. Below 0 the gradient vanishes, above 0 it explodes. NaN
        where no sequence has two lags from lag 1 on.
        """
        total, weight = 0.0, 0
        for column in self.norms[REFERENCE:].T:
            lags = column.isfinite().nonzero().flatten()
            if len(lags) > 1:
                x, y = lags.to(column.dtype), column[lags] * math.log(10)
                x = x - x.mean()
                total += len(lags) * ((x @ y) / (x @ x)).item()
                weight += len(lags)
        return total / weight if weight else math.nan

    def at(self, lag: int) -> float:
        """The median over the sequences of log10 of |dL/ds| at this lag over that at lag 1; NaN if none is so long."""
        return self.ratio[lag].nanmedian().item() if 0 <= lag < self.lags else math.nan


@dataclass(frozen=True)
class GradientByLag:
    """What ``gradient_by_lag`` found.

    Attributes:
        curves: of each layer and direction, in the order of calls; behind the layers of a stack in one direction, the
            stack as a whole.
        loss: the value that was differentiated.
        left_out: what has no curve, by its path, and why.
    """

    curves: tuple[LagCurve, ...]
    loss: float
    left_out: Mapping[str, str]

    def __getitem__(self, name: str) -> LagCurve:
        """The curve of this name; of a path alone, that of the whole stack if there is one.

        Raises:
            InputError: there is none.
        """
        known = {curve.name: curve for curve in self.curves}
        known |= {curve.layer: curve for curve in self.curves if curve.layer not in known}
        if name not in known:
            raise InputError("EXPLAIN_CURVE", f"there is no curve {name!r:.60}", fix=f"choose of {', '.join(known)}")
        return known[name]
