"""How a column of times is read: every reading that fits all cells is tried, and the regular one is taken."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.date import ISO, KNOWN, SPELLINGS, Instants, Stamps, allowed, by_format, fitting, order, split
from tidegate.data.number import numbers
from tidegate.data.step import REGULAR, Times, find_step, irregular
from tidegate.errors import InputError, did_you_mean

Groups = Sequence[tuple[str, NDArray[np.intp]]]  # the name of each series, and its rows in the file

WHOLE = 1 << 53  # larger numbers are not exact
NUMBER = "number"  # in place of the spelling of a date
NONE, WALL, OFFSET = "", "wall", "offset"  # in place of a zone: no offsets, changing ones left out, offsets as written
TWO_DIGITS = "years of two digits are read as 1950 to 2049"
LETTERS = {"%Y": "YYYY", "%y": "YY", "%m": "MM", "%d": "DD", "%b": "Mon", "%q": "1", "%V": "05", "%u": "1"}


@dataclass(frozen=True)
class Dating:
    """How a column of times is read; what is None is decided from all its cells.

    Attributes:
        day_first: whether the day comes before the month.
        form: the spelling of dates, for which a format of ``strptime`` does.
        zone: the name of the time zone.
        step: the step that a trained model has learnt.
        learnt: whether form and zone are those of a trained model; then cells of another kind are refused.
    """

    day_first: bool | None = None
    form: str | None = None
    zone: str | None = None
    step: str = ""
    learnt: bool = False


@dataclass(frozen=True)
class Reading:
    """One way to read a column."""

    form: str
    zone: str
    times: Times
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    """A column of times, and what errors say of it."""

    table: str
    name: str
    cells: list[str]
    groups: Groups

    def error(self, row: int, wanted: str, fix: str) -> InputError:
        return InputError(
            "SERIES_TIME",
            f"the column {self.name!r} of {self.table} (time=) must hold {wanted}, but row {row + 1} below the header "
            f"holds {self.cells[row][:40]!r}",
            fix=fix,
        )


def read_times(table: str, name: str, cells: list[str], groups: Groups, dating: Dating) -> Reading:
    """The times in a column.

    Raises:
        InputError: cells are neither dates nor numbers, are written in several ways, or fit two readings equally well.
    """
    column = _Column(table, name, cells, groups)
    if dating.zone and dating.zone not in (WALL, OFFSET):
        _check_zone(dating.zone)
    if dating.day_first is not None and dating.form:
        raise InputError("DATE_FORMAT", "date_format= and day_first= are both given", fix="leave out day_first=")
    if dating.form == NUMBER:
        return _numbers(column)
    if dating.form:
        return _placed(column, *_by_form(column, dating), dating)
    readings = list(_readings(column, dating))
    chosen = readings[0] if len(readings) == 1 else _chosen(column, readings)
    _check_of_use(column, chosen, dating)
    return chosen


def _check_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (LookupError, ValueError, OSError):
        raise InputError(
            "TIME_ZONE",
            f"time_zone={zone!r} is not the name of a time zone{did_you_mean(zone, available_timezones())}",
            fix="use a name such as Europe/Berlin, America/New_York or UTC",
        ) from None


def _check_of_use(column: _Column, chosen: Reading, dating: Dating) -> None:
    if dating.learnt:
        return
    held = f"{column.name!r} of {column.table} holds {column.cells[0][:40]!r}"
    if dating.day_first is not None and order(chosen.form) is None:
        raise InputError(
            "DAY_FIRST",
            f"day_first={dating.day_first} has nothing to decide: {held}",
            fix="leave it out, or name the format with date_format=",
        )
    if dating.zone and chosen.form == NUMBER:
        raise InputError("TIME_ZONE", f"time_zone={dating.zone} has no dates to read: {held}", fix="leave it out")


def _numbers(column: _Column) -> Reading:
    counts = numbers(column.cells)
    if not np.isfinite(counts).all():
        row = int(np.argmin(np.isfinite(counts)))
        raise column.error(row, "a number in every row, as in training", "write the times as in training")
    return _counted(counts)


def _counted(counts: NDArray[np.float64]) -> Reading:
    whole = (counts == np.round(counts)).all() and np.abs(counts).max() < WHOLE
    index = pd.Index(counts.astype(np.int64) if whole else counts)
    return Reading(NUMBER, NONE, Times(index, index))


def _by_form(column: _Column, dating: Dating) -> tuple[str, Instants, Stamps]:
    """The days in the spelling that the user or a trained model names."""
    form, cells = str(dating.form), column.cells
    stamps, worst = split(cells), 0
    for spelling in (form, ISO) if dating.learnt and not re.match(r"%Y.?%d", form) else (form,):
        if spelling in SPELLINGS:
            days, (row, _) = fitting(stamps.dates, [spelling])
            if days:
                return form, days[spelling], stamps
        else:
            read, misfit = by_format(cells, spelling)
            if misfit is None:
                return form, fitting(read.dates, [ISO])[0][ISO], read
            row = misfit
        worst = row if spelling == form else worst
    if dating.learnt:
        fix = "write the dates as in training, or as 2024-01-31, which has one meaning"
        raise column.error(worst, f"dates like {_in_letters(form)} in every row, as in training", fix)
    raise column.error(worst, f"dates like {_in_letters(form)} in every row", "correct date_format=, or that cell")


def _in_letters(form: str) -> str:
    """A spelling as people say it.

    Examples:
        >>> _in_letters("%d/%m/%Y")
        'DD/MM/YYYY'
    """
    return re.sub(r"%\w", lambda part: LETTERS.get(part[0], part[0]), form)


def _readings(column: _Column, dating: Dating) -> Iterator[Reading]:
    """Every reading that fits all cells."""
    stamps = split(column.cells)
    days, misfit = fitting(stamps.dates, allowed(day_first=dating.day_first))
    counts = numbers(column.cells)
    errors = []
    for form, moments in days.items():
        try:
            yield _placed(column, form, moments, stamps, dating)
        except InputError as error:  # e.g. an hour that this reading puts where clocks skip it
            errors.append(error)
    if days and len(errors) == len(days):
        raise errors[0]
    told = dating.day_first is not None or bool(dating.zone)
    if np.isfinite(counts).all() and not (days and (told or _zeros_first(column.cells))):
        yield _counted(counts)
    elif not days:
        raise _unreadable(column, stamps, misfit, dating)


def _zeros_first(cells: Sequence[str]) -> bool:
    """Whether some cells begin with a zero, as 010120 does and numbers do not."""
    return any(len(cell) > 1 and cell.startswith("0") for cell in cells)


def _unreadable(column: _Column, stamps: Stamps, misfit: tuple[int, str], dating: Dating) -> InputError:
    row, form = misfit
    if np.isfinite(numbers(column.cells[:1])).all() and not fitting(stamps.dates[:1], SPELLINGS)[0]:
        bad = int(np.argmin(np.isfinite(numbers(column.cells))))
        return column.error(bad, "a date or a number in every row", f"write dates like {KNOWN}")
    if not row and not fitting(stamps.dates[:1], allowed(day_first=dating.day_first))[0]:
        if fitting(stamps.dates[:1], SPELLINGS)[0]:
            day = "the day" if dating.day_first else "the month"
            return column.error(0, f"dates with {day} first in every row", "correct day_first=, or that cell")
        fix = f"write dates like {KNOWN}, or name their format with date_format=, such as date_format='%d/%m/%Y %H:%M'"
        return column.error(0, "dates or numbers in a known spelling", fix)
    return column.error(
        row,
        f"dates like {_in_letters(form)} in every row, as above it",
        "write all dates in the same format, such as 2024-01-31 or 2024-01-31 18:00",
    )


def _placed(column: _Column, form: str, days: Instants, stamps: Stamps, dating: Dating) -> Reading:
    """Days and times of day in their time zone."""
    wall = days + stamps.clocks.astype("timedelta64[us]")
    zone = dating.zone if dating.zone is not None else _own_zone(column, stamps)
    notes = (TWO_DIGITS,) if "%y" in form and not dating.learnt else ()
    lacking = [offset is None for offset in stamps.offsets]
    if any(lacking) and not all(lacking):
        at = int(np.argmax(lacking) or np.argmin(lacking))
        raise column.error(at, "an offset from UTC in every row or in none", "write all times in the same way")
    if zone not in (NONE, WALL, OFFSET):
        return Reading(form, zone, _in_zone(column, wall, stamps, zone), notes)
    if zone != WALL and any(lacking) != (zone == NONE):
        wanted = "times without an offset, as in training" if zone == NONE else "times with an offset, as in training"
        raise column.error(0, wanted, "write the times as in training, or train with time_zone=")
    plain = pd.DatetimeIndex(wall)
    if zone != OFFSET:
        return Reading(form, zone, Times(plain, plain), notes)
    absolute = _absolute(wall, stamps)
    if dating.learnt or len(set(stamps.offsets)) == 1:
        return Reading(form, OFFSET, absolute, notes)
    return _changing(column, Reading(form, WALL, Times(plain, plain), notes), Reading(form, OFFSET, absolute, notes))


def _own_zone(column: _Column, stamps: Stamps) -> str:
    """The zone that the cells name, or whether they have offsets."""
    if len(stamps.zones) > 1:
        first, second = stamps.zones[:2]
        raise InputError(
            "TIME_ZONE",
            f"{column.name!r} of {column.table} names several time zones: {first} and {second}",
            fix="write all times in one zone, or name it with time_zone=",
        )
    if stamps.zones:
        _check_zone(stamps.zones[0])
        return stamps.zones[0]
    return NONE if stamps.offsets[0] is None else OFFSET


def _absolute(wall: Instants, stamps: Stamps) -> Times:
    """Times at the offset of the last row, and as written."""
    offsets = np.array(stamps.offsets, dtype="timedelta64[s]")
    zone = timezone(timedelta(seconds=int(stamps.offsets[-1] or 0)))
    return Times(pd.DatetimeIndex(wall - offsets).tz_localize("UTC").tz_convert(zone), pd.DatetimeIndex(wall))


def _changing(column: _Column, wall: Reading, absolute: Reading) -> Reading:
    """Offsets that change, as those of summer do: days are regular on the wall, hours in absolute time."""
    named = "time_zone= names the zone"
    if _faults(wall, column.groups) <= _faults(absolute, column.groups):
        note = f"the offsets in {column.name!r} change, so times are local and forecasts have no offset; {named}"
        return replace(wall, notes=(*wall.notes, note))
    note = f"the offsets in {column.name!r} change, and forecasts keep that of the last row; {named}"
    return replace(absolute, notes=(*absolute.notes, note))


def _in_zone(column: _Column, wall: Instants, stamps: Stamps, zone: str) -> Times:
    """Times in a named zone. Of an hour that comes twice, the first is summer time."""
    if stamps.offsets[0] is not None:
        index = pd.DatetimeIndex(_absolute(wall, stamps).index).tz_convert(zone)
        return Times(index, index.tz_localize(None))
    dates = pd.DatetimeIndex(wall)
    twice = np.asarray(dates.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward").isna())
    early, late = (_at_once(dates, zone, summer=summer) for summer in (True, False))
    summer = np.ones(len(dates), dtype=bool)
    for _, rows in column.groups:
        summer[rows] = _before_the_change(dates[rows], twice[rows], early[rows], late[rows])
    index = dates.tz_localize(zone, ambiguous=summer, nonexistent="shift_forward")
    skipped = np.asarray((index.tz_localize(None) != dates) & (dates != dates.normalize()))
    if skipped.any():
        row = int(np.argmax(skipped))
        fix = "name the zone that the times were written in with time_zone=, such as UTC, or correct that cell"
        raise column.error(row, f"times of {zone} (the clocks there skip an hour in spring)", fix)
    return Times(index, dates)


def _at_once(dates: pd.DatetimeIndex, zone: str, *, summer: bool) -> Instants:
    """Local dates in UTC, were all hours that come twice in summer time or in winter time."""
    placed = dates.tz_localize(zone, ambiguous=np.full(len(dates), summer), nonexistent="shift_forward")
    return placed.tz_convert("UTC").tz_localize(None).to_numpy()


def _before_the_change(
    dates: pd.DatetimeIndex, twice: NDArray[np.bool_], early: Instants, late: Instants
) -> NDArray[np.bool_]:
    """Whether each row comes before wall clocks go back, among rows of one hour that comes twice.

    Args:
        dates: the rows of a series, as written.
        twice: which of them are in such an hour.
        early: the rows, were all of them before the change.
        late: the rows, were all of them after it.
    """
    turns = np.cumsum(np.diff(dates.to_numpy(), prepend=dates[:1].to_numpy() - 1) <= np.timedelta64(0))
    begins = np.flatnonzero(twice & ~np.insert(twice[:-1], 0, values=False))
    before = np.ones(len(dates), dtype=bool)
    usual = np.median(np.diff(early)) if len(dates) > 1 else None
    for start in map(int, begins):
        end = start + int(np.argmin(np.append(twice[start:], values=False)))
        before[start:end] = turns[start:end] == turns[start]
        if before[start:end].all() and start and late[start] - early[start - 1] == usual:
            before[start:end] = False  # of an hour that comes twice, only the second is in the file
    return before


def _faults(reading: Reading, groups: Groups) -> float:
    """The number of irregular steps; infinite if the rows are out of order."""
    parts = [reading.times[rows] for _, rows in groups]
    if not all(part.index.is_monotonic_increasing and part.index.is_unique for part in parts):
        return np.inf
    step = find_step(max(parts, key=len))
    return float(sum(irregular(part, step).sum() for part in parts if step))


def _chosen(column: _Column, readings: list[Reading]) -> Reading:
    """The reading whose rows are equally far apart.

    Raises:
        InputError: there are several, with different times.
    """
    different = [
        reading
        for at, reading in enumerate(readings)
        if not any(reading.times.index.equals(other.times.index) for other in readings[:at])
    ]
    ranked = sorted(((_faults(reading, column.groups), at) for at, reading in enumerate(different)))
    faults, best = [faults for faults, _ in ranked], [different[at] for _, at in ranked]
    if len(best) > 1 and different[-1].form == NUMBER:
        number = best.index(different[-1])
        plain = faults[number]
        if number == 0:
            return best[0]
        del best[number], faults[number]
        if faults[0] == plain and best[0].form in ("%d%m%Y", "%m%d%Y"):
            raise _two_ways(column, [best[0], different[-1]])
        if not (_far_better(faults[0], plain) or best[0].form.startswith("%Y")):
            return different[-1]
    if len(best) == 1 or faults[0] == np.inf:
        return best[0]
    steps = sum(len(rows) - 1 for _, rows in column.groups)
    if _far_better(faults[0], faults[1]) and faults[0] <= (1 - REGULAR) * steps:
        note = (
            f"dates in {column.name!r} are read as {_in_letters(best[0].form)}: only so are the rows equally far apart"
        )
        return replace(best[0], notes=(*best[0].notes, note))
    raise _two_ways(column, best[:2])


def _far_better(faults: float, others: float) -> bool:
    return 2 * faults <= others and others > 0


def _two_ways(column: _Column, readings: list[Reading]) -> InputError:
    first, second = readings
    row = int(np.argmax(np.asarray(first.times.local != second.times.local)))
    ways = " or ".join(_said(reading, row) for reading in readings)
    formats = " or ".join(f"date_format={reading.form!r}" for reading in readings if reading.form != NUMBER)
    formats += ", or leave out time= to count rows only" if second.form == NUMBER else ""
    orders = {order(first.form), order(second.form)} == {True, False}
    return InputError(
        "SERIES_AMBIGUOUS",
        f"the column {column.name!r} of {column.table} (time=) can be read in two ways: {column.cells[row][:40]!r} in "
        f"row {row + 1} below the header is {ways}, and every row fits both",
        fix=f"say which, with {'day_first=True or day_first=False, or with ' if orders else ''}{formats}",
    )


def _said(reading: Reading, row: int) -> str:
    time = reading.times.local[row]
    return f"the number {time}" if reading.form == NUMBER else f"{time:%Y-%m-%d}"
