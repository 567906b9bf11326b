"""The step from one row to the next: found in the rows, checked against them, and continued after the last one."""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timezone
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset
from pandas.tseries.offsets import LastWeekOfMonth, Tick, WeekOfMonth

RUN, RUNS = 6, 200  # where rows are missing, the step is inferred from up to 200 runs of 6 rows
REGULAR = 0.9  # at least this share of the steps must be equal
LONGEST_CYCLE = 31  # rows; hours in a day, days or months in their cycle
MONTHLY = re.compile(r"(?P<months>[1-9]\d?) months? on day (?P<day>[1-9]\d?)")  # pandas has no name for these
DAY, WEEK, YEAR = np.timedelta64(1, "D"), np.timedelta64(7, "D"), np.timedelta64(365, "D")

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Times:
    """When each row is.

    Attributes:
        index: dates or numbers; dates of a time zone know it.
        local: the same as wall clocks show it, which the calendar is read from; the index itself if it has no zone.
    """

    index: pd.Index[Any]
    local: pd.Index[Any]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any) -> Times:
        return Times(self.index[rows], self.local[rows])

    @property
    def shown(self) -> pd.Index[Any]:
        """The index; where offsets from UTC change without a zone that tells when, each date has its own."""
        if not isinstance(self.index, pd.DatetimeIndex) or self.index.tz is None:
            return self.index
        if (self.index.tz_localize(None) == self.local).all():
            return self.index
        offsets = pd.DatetimeIndex(self.local) - self.index.tz_convert("UTC").tz_localize(None)
        shown = [date.tz_convert(timezone(offset)) for date, offset in zip(self.index, offsets, strict=True)]
        return pd.Index(shown, dtype=object)

    @property
    def dated(self) -> bool:
        """Whether the times are dates."""
        return isinstance(self.index, pd.DatetimeIndex)


def later(last: Any, step: str, count: int) -> Any:
    """The times of the next ``count`` rows after ``last``.

    Examples:
        >>> later(pd.Timestamp("2020-11-01"), "MS", 2).strftime("%Y-%m-%d").tolist()
        ['2020-12-01', '2021-01-01']
        >>> later(pd.Timestamp("2020-01-30"), "1 month on day 30", 2).strftime("%Y-%m-%d").tolist()
        ['2020-02-29', '2020-03-30']
        >>> later(1970, "1.0", 2).tolist()
        [1971, 1972]
    """
    if not isinstance(last, pd.Timestamp):
        whole = isinstance(last, (int, np.integer)) and float(step).is_integer()
        return pd.Index(last + (int(float(step)) if whole else float(step)) * np.arange(1, count + 1))
    if _by_the_clock(step):
        dates: pd.DatetimeIndex = pd.date_range(last, periods=count + 1, freq=step)
        return dates[1:]
    # A day after 00:00 is 00:00, however long the day is.
    wall = _later_on_the_wall(last.tz_localize(None), step, count)
    first = np.ones(count, dtype=bool)  # of an hour that comes twice
    return wall if last.tz is None else wall.tz_localize(last.tz, ambiguous=first, nonexistent="shift_forward")


def check_step(step: str, *, dated: bool) -> None:
    """Refuse a step that no rows can have.

    Raises:
        ValueError: it is not a frequency, or not a number.
    """
    try:
        fits = bool(len(later(pd.Timestamp("2020-01-01"), step, 1))) if dated else 0 < abs(float(step)) < np.inf
    except (ValueError, ArithmeticError):
        fits = False
    if not fits:
        raise ValueError(f"{reprlib.repr(step)} is no step from one row to the next")


def _later_on_the_wall(last: pd.Timestamp, step: str, count: int) -> pd.DatetimeIndex:
    monthly = MONTHLY.fullmatch(step)
    if monthly is None:
        dates: pd.DatetimeIndex = pd.date_range(last, periods=count + 1, freq=step)
        return dates[1:]
    months, day = int(monthly["months"]), int(monthly["day"])
    ahead = last.to_period("M").ordinal + months * np.arange(1, count + 1)
    starts = ahead.astype("datetime64[M]")
    days = np.minimum(day, _days_in_month(starts)) - 1
    return pd.DatetimeIndex(starts.astype("datetime64[us]") + days.astype("timedelta64[D]")) + (last - last.normalize())


def _by_the_clock(step: str) -> bool:
    """Whether steps have the same length in seconds, as hours have and days do not."""
    return MONTHLY.fullmatch(step) is None and isinstance(to_offset(step), Tick)


def _days_in_month(months: NDArray[np.datetime64]) -> NDArray[np.int64]:
    days: NDArray[np.int64] = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return days


def periods(step: str) -> tuple[int, ...]:
    """Rows in a day, a week and a year; those of three rows or fewer are left out."""
    monthly = MONTHLY.fullmatch(step)
    if monthly is not None:
        yearly = 12 // int(monthly["months"])
        return (yearly,) if yearly > 3 else ()
    start = pd.Timestamp("2023-01-01")
    rows = (round((len(pd.date_range(start, start + 8 * span, freq=step)) - 1) / 8) for span in (DAY, WEEK, YEAR))
    return tuple(count for count in rows if count > 3)


def alike(times: Times, step: str) -> Flags:
    """[rows - 1] whether each row is one step after the one before."""
    if not times.dated:
        return np.isclose(np.diff(times.index.to_numpy()), float(step))
    wall = pd.DatetimeIndex(times.local)
    monthly = MONTHLY.fullmatch(step)
    if monthly is not None:
        return _monthly(wall, int(monthly["months"]), int(monthly["day"]))
    dates = pd.DatetimeIndex(times.index) if _by_the_clock(step) else wall
    offset = to_offset(step)
    if isinstance(offset, (WeekOfMonth, LastWeekOfMonth)):  # pandas cannot add them to all dates at once
        return np.array([before + offset == after for before, after in pairwise(dates)])
    return np.asarray(dates[:-1] + offset == dates[1:])


def _monthly(wall: pd.DatetimeIndex, months: int, day: int) -> Flags:
    values = wall.to_numpy().astype("datetime64[us]")
    starts = values.astype("datetime64[M]")
    of_month = (values.astype("datetime64[D]") - starts.astype("datetime64[D]")).astype(np.int64) + 1
    placed = of_month == np.minimum(day, _days_in_month(starts))
    clocks = values - values.astype("datetime64[D]")
    same: Flags = (np.diff(starts.astype(np.int64)) == months) & placed[:-1] & placed[1:]
    same &= clocks[:-1] == clocks[1:]
    return same


def irregular(times: Times, step: str) -> Flags:
    """[rows - 1] the steps that differ, all of them if they come in a cycle.

    Rows are missing here and there. Where exactly every 12th step differs, the dates are something else than they
    look, such as months that are written like days.
    """
    wrong = ~alike(times, step)
    at = np.flatnonzero(wrong)
    if len(at) > 2 and len(set(np.diff(at))) == 1:
        cycle = int(at[1] - at[0])
        if 1 < cycle <= LONGEST_CYCLE and at[0] <= cycle and len(wrong) - at[-1] <= cycle:
            return np.ones_like(wrong)
    return wrong


def find_step(times: Times) -> str:
    """The step that most rows have; empty if there is only one row."""
    if len(times) < 2:
        return ""
    if not times.dated:
        return str(float(np.median(np.diff(times.index.to_numpy()))))
    best, share = "", -1.0
    for step in dict.fromkeys(_candidates(times)):
        found = float(alike(times, step).mean())
        best, share = (step, found) if found > share else (best, share)
    return best


def _candidates(times: Times) -> Iterator[str]:
    wall = pd.DatetimeIndex(times.local)
    for dates in (wall,) if times.index is times.local else (wall, _utc(times)):
        parts = [dates, *(dates[at : at + RUN] for at in range(0, len(dates) - RUN + 1, RUN)[:RUNS])]
        inferred = [pd.DatetimeIndex(part, freq="infer").freqstr for part in parts if len(part) > 2]
        yield from (freq for freq, _ in Counter(freq for freq in inferred if freq).most_common(3))
    yield from _monthly_steps(wall)
    between = _commonest(wall)[0][0]
    if between == pd.Timedelta(between.days, "D"):
        yield pd.tseries.offsets.Day(between.days).freqstr
    yield to_offset(_commonest(_utc(times))[0][0]).freqstr
    yield from _twice_monthly_steps(wall)


def _utc(times: Times) -> pd.DatetimeIndex:
    dates = pd.DatetimeIndex(times.index)
    return dates if dates.tz is None else dates.tz_convert("UTC").tz_localize(None)


def _monthly_steps(wall: pd.DatetimeIndex) -> Iterator[str]:
    steps, counts = np.unique(np.diff(wall.to_numpy().astype("datetime64[M]").astype(np.int64)), return_counts=True)
    months = int(steps[np.argmax(counts)])
    if months > 0:
        yield f"{months} month{'s' * (months > 1)} on day {wall.day.max()}"


def _twice_monthly_steps(wall: pd.DatetimeIndex) -> Iterator[str]:
    days = np.asarray(wall.day)
    first, second = int(days.min()), int(days.max())
    if first == 1 and 1 < second <= 27:
        yield f"SMS-{second}"
    if 1 < first <= 27 <= second:
        yield f"SME-{first}"


def _commonest(dates: pd.DatetimeIndex) -> list[tuple[pd.Timedelta, int]]:
    """The steps seen most often, with their numbers."""
    steps, counts = np.unique(np.diff(dates.to_numpy()), return_counts=True)
    return [(pd.Timedelta(steps[at]), int(counts[at])) for at in np.argsort(-counts, kind="stable")[:3]]


def seen_steps(times: Times) -> str:
    """The steps seen most often, in words.

    Examples:
        >>> dates = pd.DatetimeIndex(["2020-01-01", "2020-01-15", "2020-02-01", "2020-02-15"])
        >>> seen_steps(Times(dates, dates))
        '14 days (2 times) and 17 days (1 times)'
    """
    if not times.dated:
        counts = Counter(np.diff(times.index.to_numpy()).tolist()).most_common(3)
        words = [f"{step:g} ({count} times)" for step, count in counts]
    else:
        words = [f"{_in_words(step)} ({count} times)" for step, count in _commonest(_utc(times))]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _in_words(step: pd.Timedelta) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = step.total_seconds() / length
        if count >= 1 and count == round(count):
            return f"{count:.0f} {unit}{'s' * (count > 1)}"
    return f"{step.total_seconds():g} seconds"
