"""Series with missing values, or with times of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.data.labelled.record import Values

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Gapped:
    """A series as it was observed.

    Attributes:
        values: [T, C] float64, NaN where a value is missing.
        times: [T] float64, rising; None where steps are equally far apart.
    """

    values: Floats
    times: Floats | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Steps and channels."""
        return self.values.shape

    @property
    def timed(self) -> bool:
        """Whether its steps have times."""
        return self.times is not None

    @property
    def place(self) -> Floats:
        """[T] the time of each step; steps are counted where they are equally far apart."""
        return np.arange(len(self), dtype=np.float64) if self.times is None else self.times

    def tobytes(self) -> bytes:
        """The content, which equal series share."""
        return self.values.tobytes() + (b"" if self.times is None else self.times.tobytes())

    def filled(self) -> Floats:
        """[T, C] with straight lines in time across gaps, and the nearest value at both ends.

        A channel without any value stays NaN.
        """
        series = self.values.copy()
        for channel in series.T:
            gaps = np.isnan(channel)
            if gaps.any() and not gaps.all():
                channel[gaps] = np.interp(self.place[gaps], self.place[~gaps], channel[~gaps])
        return series


def observed(
    series: Sequence[Values], times: Sequence[Floats] | None = None
) -> tuple[tuple[Values | Gapped, ...], tuple[str, ...]]:
    """Series, those with gaps or times as ``Gapped``, and a note that counts what is missing.

    Final steps without a value in any channel are padding and are cut off.

    Args:
        series: [T, C] each, NaN where a value is missing.
        times: [T] of each, rising.
    """
    if times is None and not any(np.isnan(values).any() for values in series if values.dtype.kind == "f"):
        return tuple(series), ()
    ends = [_end(values) for values in series]
    cut = [values[:end].astype(np.float64) for values, end in zip(series, ends, strict=True)]
    missing, count = int(sum(np.isnan(values).sum() for values in cut)), sum(values.size for values in cut)
    notes = (f"{missing:,} of {count:,} values are missing",) if missing else ()
    if times is None:
        return tuple(Gapped(values) if np.isnan(values).any() else values for values in cut), notes
    placed = (own[:end] for own, end in zip(times, ends, strict=True))
    return tuple(Gapped(values, own) for values, own in zip(cut, placed, strict=True)), notes


def complete(item: Values | Gapped) -> Values:
    """The values of a series [T, C], gaps filled by straight lines in time."""
    return item.filled() if isinstance(item, Gapped) else item


def _end(values: Values) -> int:
    if values.dtype.kind != "f":
        return len(values)
    present = np.flatnonzero(~np.isnan(values).all(axis=1))
    return int(present[-1]) + 1 if len(present) else 1
