"""The time of each row: how its cells are read, whether the rows are in order, and their place in the calendar."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.gap import MOST, Rows, longest_run, on_grid, rows_between
from tidegate.data.reading import TWO_DIGITS, Dating, read_times
from tidegate.data.step import DAY, REGULAR, WEEK, YEAR, Times, find_step, irregular, later, periods, seen_steps
from tidegate.data.table import Table
from tidegate.errors import InputError

SERIES = "name the column that tells the series apart with series=COLUMN"
HOUR = pd.Timedelta(1, "h")
HALF_CENTURY = pd.Timedelta(-50 * 365, "D")  # nobody's rows go back so far but by years of two digits
NIGHT = 3  # no clock goes back after that hour


@dataclass(frozen=True)
class Clock:
    """When each row is.

    Attributes:
        times: dates or numbers (e.g. years), one for each row, series after series.
        step: from one row to the next: a frequency of pandas such as ``"MS"``, or the difference of the numbers.
        form, zone: how the cells were read, which a trained model does again.
        local: the dates as wall clocks show them; the times themselves unless given.
        warnings: missing rows, and choices between readings.
    """

    times: pd.Index[Any]
    step: str
    form: str = ""
    zone: str = ""
    local: pd.Index[Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether the times are dates."""
        return isinstance(self.times, pd.DatetimeIndex)

    @property
    def periods(self) -> tuple[int, ...]:
        """Rows in a day, a week and a year; those of three rows or fewer are left out."""
        return periods(self.step) if self.dated and self.step else ()

    @property
    def wall(self) -> pd.Index[Any]:
        """The times as wall clocks show them."""
        return self.times if self.local is None else self.local

    def at(self, rows: Any) -> Clock:
        """The clock of these rows."""
        return replace(self, times=self.times[rows], local=None if self.local is None else self.local[rows])

    def continued(self, start: int, stop: int, more: int, step: str) -> Times:
        """The times of rows ``start`` to ``stop - 1``, and of ``more`` rows after them."""
        own, wall = self.times[start:stop], self.wall[start:stop]
        if not more:
            return Times(own, wall)
        ahead = later(own[-1], step, more)
        shown = ahead.tz_localize(None) if self.dated else ahead
        return Times(own.append(ahead), wall.append(shown))

    def written(self, rows: Any) -> list[Any]:
        """The times of rows as a file has them: numbers, or dates in ISO 8601 with their offset and zone."""
        if not isinstance(self.times, pd.DatetimeIndex):
            return list(self.times[rows])
        wall = pd.DatetimeIndex(self.wall[rows])
        texts = [moment.isoformat() for moment in wall]
        if self.times.tz is None:
            return texts
        offsets = (wall - self.times[rows].tz_convert("UTC").tz_localize(None)).total_seconds()
        zone = f"[{self.zone}]" if "/" in self.zone else ""
        return [text + _offset(round(offset)) + zone for text, offset in zip(texts, offsets, strict=True)]


def _offset(seconds: int) -> str:
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}:{minutes % 60:02}"


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


def read_clock(
    table: Table, column: str, groups: Mapping[str, Rows], dating: Dating, fill: float
) -> tuple[Clock, dict[str, Rows]]:
    """The times in a column, with those of missing rows; each series is checked separately.

    Args:
        table: the cells.
        column: the name of the column.
        groups: the rows of each series.
        dating: how its cells are read.
        fill: the largest share of the rows of a series that may be missing.

    Returns:
        The clock, and the rows of each series, -1 where one is missing.

    Raises:
        InputError: cells that are neither dates nor numbers or can be read in two ways, times out of order or
            repeated, unequal steps, or too many rows missing.
    """
    cells = [cell.strip() for cell in table.cells[column]]
    reading = read_times(table.name, column, cells, list(groups.items()), dating)
    for name, rows in groups.items():
        check_rising(table, column, cells, reading.times[rows], rows, name)
    model, longest = max(groups.items(), key=lambda group: len(group[1]))
    step = _step(table, column, reading.times[longest], dating.step)
    gaps = _Gaps(table.name, column, cells, step, model, fill)
    parts = {name: gaps.filled(reading.times[rows], rows, name) for name, rows in groups.items()}
    notes = [note for _, _, note in parts.values() if note]
    more = [f"{len(notes) - 3} more series lack rows"] if len(notes) > 3 else []
    index, local = (
        functools.reduce(lambda before, after: before.append(after), part)
        for part in ([times.index for times, _, _ in parts.values()], [times.local for times, _, _ in parts.values()])
    )
    clock = Clock(index, step, reading.form, reading.zone, local, (*reading.notes, *notes[:3], *more))
    return clock, {name: rows for name, (_, rows, _) in parts.items()}


def check_rising(table: Table, column: str, cells: list[str], times: Times, rows: NDArray[np.intp], name: str) -> None:
    """Refuse rows of a series that are out of order, or have the time of another.

    Args:
        table: the rows.
        column: the name of the column of times.
        cells: of that column.
        times: of the rows of the series.
        rows: of the series.
        name: of the series; empty where there is one.

    Raises:
        InputError: there is such a row.
    """
    steps = times.index[1:] - times.index[:-1]
    wrong = np.asarray(steps <= steps.dtype.type(0)) if not times.dated else np.asarray(steps <= pd.Timedelta(0))
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    before, here = cells[rows[at]], cells[rows[at + 1]]
    of = f" of the series {name!r}" if name else ""
    if _turned_back(times, at):
        raise InputError(
            "SERIES_CLOCK",
            f"{table.name} has the hour of {here} twice{of}, as local time does when the clocks go back; it begins "
            f"again in row {rows[at + 1] + 1} below the header",
            fix="name the time zone, such as time_zone=Europe/Berlin, or write the times with their offset, such as "
            "+01:00, or in UTC",
        )
    if not steps[at]:
        raise InputError(
            "SERIES_REPEATED",
            f"{table.name} has the time {here} twice{of}; the second is in row {rows[at + 1] + 1} below the header",
            fix="keep one row for each time" + ("" if name else f", or {SERIES}"),
        )
    century = times.dated and steps[at] < HALF_CENTURY
    raise InputError(
        "SERIES_ORDER",
        f"the rows of {table.name} must be in time order, oldest first, but {column!r}{of} goes from {before} "
        f"back to {here} at row {rows[at + 1] + 1}" + (f" ({TWO_DIGITS})" if century else ""),
        fix=f"sort the file by {column!r}" + ("" if name else f", or {SERIES}"),
    )


def _turned_back(times: Times, at: int) -> bool:
    """Whether local time goes back after a row because an hour comes twice, not because the rows are out of order."""
    if not isinstance(times.index, pd.DatetimeIndex) or times.index.tz is not None:
        return False
    steps = times.index[1:] - times.index[:-1]
    usual = pd.Series(steps).median()
    night: bool = times.index[at + 1].hour <= NIGHT
    return night and usual <= HOUR and steps[at] == usual - HOUR


def _step(table: Table, column: str, times: Times, learnt: str) -> str:
    """The step of a series: the one that the model learnt, if it fits."""
    if learnt and len(times) > 1 and irregular(times, learnt).mean() <= 1 - REGULAR:
        return learnt
    step = find_step(times)
    if learnt or not step or irregular(times, step).mean() <= 1 - REGULAR:
        return step or learnt
    raise InputError(
        "SERIES_STEP",
        f"the rows of {table.name} must be equally far apart, but {column!r} shows no regular step: the most frequent "
        f"ones are {seen_steps(times)}",
        fix="resample to one step, or leave out time= to count rows only",
    )


@dataclass(frozen=True)
class _Gaps:
    """The missing rows of a table, and what errors and notes say of them."""

    table: str
    column: str
    cells: list[str]
    step: str
    model: str
    fill: float

    def filled(self, times: Times, rows: Rows, name: str) -> tuple[Times, Rows, str]:
        """The times of a series with those of its missing rows, the rows with -1 for each of these, and a note.

        Raises:
            InputError: most steps differ from the usual one, or too many rows are missing.
        """
        wrong = irregular(times, self.step) if len(rows) > 1 and self.step else np.zeros(0, bool)
        if not wrong.any():
            return times, rows, ""
        if MOST * len(rows) < rows_between(times):
            raise self._too_many(f"most rows are missing between {self.cells[rows[0]]} and {self.cells[rows[-1]]}")
        of = f" of the series {name!r}" if name else ""
        first = f"the first after {self.cells[rows[int(np.argmax(wrong))]]}"
        self._check_regular(wrong, of + (f", as in {self.model!r}" if name and name != self.model else ""), first)
        grid = on_grid(times, self.step)
        if grid is None:
            steps = f"{int(wrong.sum())} steps in {self.column!r}{of} are not {self.step!r}, {first}"
            return times, rows, f"{steps}; the rows are read as if they followed each other"
        whole, places = grid
        full = np.full(len(whole), -1)
        full[places] = rows
        lacking, longest = len(whole) - len(rows), longest_run(full < 0)
        gaps = f"{lacking:,} of {len(whole):,} rows {'is' if lacking == 1 else 'are'} missing in {self.column!r}{of}"
        gaps += f", {first}" + (f", at most {longest} in a row" if longest < lacking else "")
        if lacking > self.fill * len(whole):
            raise self._too_many(gaps)
        return whole, full, f"{gaps}; they are filled, the target by straight lines"

    def _too_many(self, gaps: str) -> InputError:
        return InputError(
            "SERIES_GAPS",
            f"{self.table} has gaps: {gaps}; at most {100 * self.fill:g} % are filled",
            fix="add the rows, pass a part without gaps, allow more with fill=, or leave out time= to count rows only",
        )

    def _check_regular(self, wrong: NDArray[np.bool_], of: str, first: str) -> None:
        if wrong.mean() > 1 - REGULAR:
            raise InputError(
                "SERIES_STEP",
                f"the rows of {self.table} must be equally far apart, but {int(wrong.sum())} of {len(wrong)} steps "
                f"in {self.column!r} are not {self.step!r}{of}, {first}",
                fix="resample to one step, or leave out time= to count rows only",
            )
