"""The time of each row: dates or numbers, their step, and their place in the calendar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.api import guess_datetime_format

from tidegate.data.table import Table, numbers
from tidegate.errors import InputError

RUN, RUNS = 6, 200  # where rows are missing, the step is inferred from up to 200 runs of 6 rows
REGULAR = 0.9  # at least this share of the steps must be equal
SERIES = "name the column that tells the series apart with series=COLUMN"
DAY, WEEK, YEAR = np.timedelta64(1, "D"), np.timedelta64(7, "D"), np.timedelta64(365, "D")

Groups = Sequence[tuple[str, NDArray[np.intp]]]  # the name of each series, and its rows in the file


@dataclass(frozen=True)
class Clock:
    """When each row is.

    Attributes:
        times: dates or numbers (e.g. years), one for each row, series after series.
        step: from one row to the next: a frequency of pandas such as ``"MS"``, or the difference of the numbers.
        warnings: missing rows.
    """

    times: pd.Index[Any]
    step: str
    warnings: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether the times are dates."""
        return isinstance(self.times, pd.DatetimeIndex)

    @property
    def periods(self) -> tuple[int, ...]:
        """Rows in a day, a week and a year; those of three rows or fewer are left out."""
        if not self.dated:
            return ()
        start = pd.Timestamp("2023-01-01")
        rows = (
            round((len(pd.date_range(start, start + 8 * span, freq=self.step)) - 1) / 8) for span in (DAY, WEEK, YEAR)
        )
        return tuple(count for count in rows if count > 3)


def later(last: Any, step: str, count: int) -> Any:
    """The times of the next ``count`` rows after ``last``.

    Examples:
        >>> later(pd.Timestamp("2020-11-01"), "MS", 2).strftime("%Y-%m-%d").tolist()
        ['2020-12-01', '2021-01-01']
        >>> later(1970, "1.0", 2).tolist()
        [1971.0, 1972.0]
    """
    if isinstance(last, pd.Timestamp):
        dates: pd.DatetimeIndex = pd.date_range(last, periods=count + 1, freq=step)
        return dates[1:]
    return pd.Index(float(last) + float(step) * np.arange(1, count + 1))


def cycles(times: pd.Index[Any], span: np.timedelta64, step: np.timedelta64) -> dict[str, NDArray[np.float64]]:
    """The place of each time in the day, the week and the year, from 0 to 1.

    A cycle is included if the training rows, which last ``span``, contain it twice and it is longer than two steps.
    """
    dates = pd.DatetimeIndex(times)
    day = np.asarray(dates.hour * 3600 + dates.minute * 60 + dates.second) / 86400
    angles = {
        "day": (DAY, day),
        "week": (WEEK, (np.asarray(dates.day_of_week) + day) / 7),
        "year": (YEAR, (np.asarray(dates.day_of_year) - 1) / 366),
    }
    return {name: angle for name, (length, angle) in angles.items() if 2 * length <= span and 2 * step < length}


def read_clock(table: Table, column: str, groups: Groups) -> Clock:
    """The times in a column; each series is checked separately.

    Raises:
        InputError: cells that are neither dates nor numbers, times out of order or repeated, or unequal steps.
    """
    cells = [cell.strip() for cell in table.cells[column]]
    every = _times(table, column, cells)
    for name, rows in groups:
        _check_rising(table, column, cells, every[rows], rows, name)
    order = np.concatenate([rows for _, rows in groups])
    longest = max(groups, key=lambda group: len(group[1]))
    step = _step(every[longest[1]])
    warnings = [_missing_rows(table, column, every[rows], step, name, longest[0]) for name, rows in groups]
    given = tuple(warning for warning in warnings if warning)
    more = (f"{len(given) - 3} more series lack rows",) if len(given) > 3 else ()
    return Clock(every[order], step, given[:3] + more)


def _times(table: Table, column: str, cells: list[str]) -> pd.Index[Any]:
    form = guess_datetime_format(cells[0])
    times: pd.Index[Any]
    if form is not None:
        dates = pd.to_datetime(pd.Series(cells, dtype=object), format=form, errors="coerce", utc=True)
        bad = np.asarray(dates.isna())
        what, times = f"a date like {cells[0]!r} of the first row", pd.DatetimeIndex(dates).tz_localize(None)
    else:
        counts = numbers(cells)
        bad = ~np.isfinite(counts)
        what, times = "a date or a number", pd.Index(counts)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            "SERIES_TIME",
            f"the column {column!r} of {table.name} (time=) must hold {what} in every row, but row {row + 1} below "
            f"the header holds {cells[row][:40]!r}",
            fix="write all dates in the same format, such as 2024-01-31 or 2024-01-31 18:00",
        )
    return times


def _check_rising(
    table: Table, column: str, cells: list[str], times: pd.Index[Any], rows: NDArray[np.intp], name: str
) -> None:
    steps = np.diff(times.to_numpy())
    wrong = steps <= steps.dtype.type(0)
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    before, here = cells[rows[at]], cells[rows[at + 1]]
    of = f" of the series {name!r}" if name else ""
    if steps[at] == steps.dtype.type(0):
        raise InputError(
            "SERIES_REPEATED",
            f"{table.name} has the time {here} twice{of}; the second is in row {rows[at + 1] + 1} below the header",
            fix="keep one row for each time" + ("" if name else f", or {SERIES}"),
        )
    raise InputError(
        "SERIES_ORDER",
        f"the rows of {table.name} must be in time order, oldest first, but {column!r}{of} goes from {before} "
        f"back to {here} at row {rows[at + 1] + 1}",
        fix=f"sort the file by {column!r}" + ("" if name else f", or {SERIES}"),
    )


def _step(times: pd.Index[Any]) -> str:
    """The step of most rows."""
    if not isinstance(times, pd.DatetimeIndex):
        return str(float(np.median(np.diff(times.to_numpy())))) if len(times) > 1 else "1.0"
    parts = [times, *(times[at : at + RUN] for at in range(0, len(times) - RUN + 1, RUN)[:RUNS])]
    inferred = [pd.DatetimeIndex(part, freq="infer").freqstr for part in parts if len(part) > 2]
    commonest = Counter(freq for freq in inferred if freq).most_common(1)
    return inferred[0] if inferred and inferred[0] else commonest[0][0] if commonest else "D"


def _missing_rows(table: Table, column: str, times: pd.Index[Any], step: str, name: str, model: str) -> str:
    """A warning if some rows are missing; an error if most steps differ from ``step``."""
    if len(times) < 2:
        return ""
    if isinstance(times, pd.DatetimeIndex):
        nominal = times[:-1] + pd.tseries.frequencies.to_offset(step)
        alike = np.asarray(nominal == times[1:])
    else:
        alike = np.isclose(np.diff(times.to_numpy()), float(step))
    of = f" of the series {name!r}" if name else ""
    if alike.mean() < REGULAR:
        at = int(np.argmin(alike))
        against = f", as in {model!r}" if name and name != model else ""
        raise InputError(
            "SERIES_STEP",
            f"the rows of {table.name} must be equally far apart, but {int((~alike).sum())} of {len(alike)} steps "
            f"in {column!r}{of} are not {step!r}{against}, the first after {times[at]}",
            fix="resample to one step, or leave out time= to count rows only",
        )
    gaps = int((~alike).sum())
    if not gaps:
        return ""
    at = int(np.argmin(alike))
    return f"{gaps} steps in {column!r}{of} are not {step!r}, the first after {times[at]}; missing rows are ignored"
