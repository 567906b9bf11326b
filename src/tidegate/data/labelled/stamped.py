"""Channels of ``.ts`` files whose steps have times: ``(0,1.5),(2.5,1.7)``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BETWEEN = re.compile(r":(?![^()]*\))")  # a colon outside of a pair
PAIR = re.compile(r"\(([^(),]*),([^(),]*)\)")
FORM = "write each step as (time,value), with numbers for times"

Floats = NDArray[np.float64]


def pairs(text: str) -> tuple[list[str], list[str]]:
    """The times and the values of a channel.

    Raises:
        ValueError: it is not written in pairs.
    """
    found = PAIR.findall(text)
    if re.sub(r"\s", "", text) != re.sub(r"\s", "", ",".join(f"({time},{value})" for time, value in found)):
        raise ValueError(f"{text.strip()[:30]!r}, which is no list of pairs")
    return [time for time, _ in found], [value for _, value in found]


def rising(cells: Sequence[str]) -> Floats:
    """The times of a channel.

    Raises:
        ValueError: one is no finite number, or not later than the one before.
    """
    times = np.array([_time(cell) for cell in cells])
    late = np.flatnonzero(np.diff(times) <= 0)
    if len(late):
        before, here = (cells[late[0] + k].strip()[:30] for k in (0, 1))
        raise ValueError(f"the time {here} behind {before}, which must rise")
    return times


def _time(cell: str) -> float:
    try:
        time = float(cell)
    except ValueError:
        time = np.nan
    if not np.isfinite(time):
        raise ValueError(f"the time {cell.strip()[:30]!r}, which is no number")
    return time


def joined(times: Sequence[Floats], values: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Channels at all times of any of them: times [T] and values [T, C], NaN where a channel has none."""
    every = np.unique(np.concatenate(times))
    whole = np.full((len(every), len(values)), np.nan)
    for channel, (own, column) in enumerate(zip(times, values, strict=True)):
        whole[np.searchsorted(every, own), channel] = column
    return every, whole
