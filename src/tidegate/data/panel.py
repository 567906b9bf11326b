"""Tables of time series: the column to forecast, and what else is known in each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.calendar import Clock, read_clock
from tidegate.data.column import check_column, listed
from tidegate.data.date import is_dates
from tidegate.data.number import MISSING, Decimal, Numbers
from tidegate.data.parquet import MAGIC, read_parquet
from tidegate.data.reading import Dating
from tidegate.data.source import Source
from tidegate.data.table import Table, header_of_numbers, read_table
from tidegate.errors import InputError

NUMBER = "write numbers like 1234.5, without units and blanks, or name the decimal mark with decimal="
LARGEST = 1e150  # squares of larger numbers overflow

Values = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Panel:
    """One or more series in time order, one after another.

    Attributes:
        columns: names: the target, the inputs, then the columns known ahead.
        values: [rows, columns] float64 in the file's units. Future rows are NaN except in columns known ahead.
        known: number of columns known ahead.
        names: of the series; one empty name if no column names them.
        starts: [series + 1] the first row of each series, then the number of rows.
        future: [series] number of future rows at the end of each series.
        parts: [rows] 0 for rows of the file itself, 1 and 2 for rows of its validation and test files.
        clock: the time of each row, if a column holds it.
        decimal: the decimal mark of its numbers; None if none has one.
        warnings: what was left out and why, and what was chosen between two readings.
    """

    columns: tuple[str, ...]
    values: Values
    known: int = 0
    names: tuple[str, ...] = ("",)
    starts: tuple[int, ...] = ()
    future: tuple[int, ...] = (0,)
    parts: NDArray[np.intp] | None = None
    clock: Clock | None = None
    decimal: Decimal | None = None
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The name of the column to forecast."""
        return self.columns[0]


@dataclass(frozen=True)
class Layout:
    """The role of each column of a table.

    Attributes:
        target: the column to forecast.
        series: the column that names the series of each row.
        time: the column of times: dates or numbers.
        known: columns known ahead; only these need values in the last rows of a series.
        inputs: the other columns that a trained model reads, which must be complete; unless given, all usable ones.
        dating: how the times are read.
        separator: what stands between cells, as ``read_rows`` takes it; unless given, found from all rows.
        decimal: the decimal mark; unless given, found from all rows.
        learnt: the decimal mark of the training data, for numbers that can be read in two ways.
    """

    target: str | None
    series: str | None = None
    time: str | None = None
    known: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    dating: Dating = field(default_factory=Dating)
    separator: str | None = None
    decimal: Decimal | None = None
    learnt: Decimal | None = None

    def of(self, source: Source) -> Layout:
        """The layout of this source: where we write the table, from a frame or from Parquet, its marks are ours."""
        ours = source.address == "memory" or source.raw.startswith(MAGIC)
        return replace(self, separator=",", decimal=".") if ours else self


@dataclass(frozen=True)
class _Group:
    """The rows of one series, counted from 0 below the header; the last ``future`` have no target yet."""

    name: str
    rows: Rows
    future: int = 0

    @property
    def past(self) -> Rows:
        return self.rows[: len(self.rows) - self.future]


def read_panel(source: Source, layout: Layout, minimum: int, why: str) -> Panel:
    """Read a CSV or Parquet file whose rows are in time order, oldest first.

    The other numeric columns become inputs. A column that is not numeric, has gaps, or only rises or falls (a date, a
    year, a row number) is left out with a warning.

    Args:
        source: Parquet, or a file as ``read_table`` reads it, with the names of the columns in the first line.
        layout: the role of each column.
        minimum: the least number of rows in each series.
        why: why that many rows are needed, for the error.

    Raises:
        InputError: the file is not such a table, a named column is missing or unusable, there are too few rows, or
            times are out of order, repeated or unequally far apart.
    """
    layout = layout.of(source)
    table, parts = _joined(source, layout.separator)
    _check_target(table, layout.target)
    named = [("series", layout.series), ("time", layout.time), *(("known", name) for name in layout.known)]
    for role, name in named:
        if name is not None:
            _check_named(table, role, name, str(layout.target))
    groups = _groups(table, layout)
    for group in groups:
        _check_rows(table, group, minimum, why)
    clock = _clock(table, layout, groups)
    found = _numbers(table, layout)
    values, warnings = _values(table, layout, groups, found)
    order = np.concatenate([group.rows for group in groups])
    return Panel(
        tuple(values),
        np.stack(list(values.values()), axis=1)[order],
        known=len(layout.known),
        names=tuple(group.name for group in groups),
        starts=(0, *np.cumsum([len(group.rows) for group in groups]).tolist()),
        future=tuple(group.future for group in groups),
        parts=parts[order],
        clock=clock,
        decimal=found.mark(tuple(values)),
        warnings=table.notes + (clock.warnings if clock else ()) + found.notes(tuple(values)) + tuple(warnings),
    )


def _clock(table: Table, layout: Layout, groups: list[_Group]) -> Clock | None:
    if layout.time is not None:
        return read_clock(table, layout.time, [(group.name, group.rows) for group in groups], layout.dating)
    given = {"day_first": layout.dating.day_first, "date_format": layout.dating.form, "time_zone": layout.dating.zone}
    for name, value in given.items():
        if value is not None and not layout.dating.learnt:
            raise InputError("DATING", f"{name}={value!r} is given, but no column of times", fix="name it with time=")
    return None


def _numbers(table: Table, layout: Layout) -> Numbers:
    """The columns that may hold numbers, and how these are to be read."""
    columns = {name: cells for name, cells in table.cells.items() if name not in (layout.series, layout.time)}
    return Numbers(table.name, columns, table.separator, layout.decimal, layout.learnt)


def _joined(source: Source, separator: str | None) -> tuple[Table, NDArray[np.intp]]:
    """The rows of all files, one file after another, and the file of each row."""
    sources = {0: source, 1: source.valid, 2: source.test}
    tables = {part: read_table(as_csv(file), separator) for part, file in sources.items() if file is not None}
    first = tables[0]
    for table in tables.values():
        if sorted(table.header) != sorted(first.header):
            raise InputError(
                "SERIES_FILES",
                f"{table.name} has the columns {listed(table.header)}, but {first.name} has {listed(first.header)}",
                fix="give all files the same columns",
            )
    counts = {part: len(table.cells[table.header[0]]) for part, table in tables.items()}
    cells = {name: [cell for table in tables.values() for cell in table.cells[name]] for name in first.header}
    title = " and ".join(table.name for table in tables.values())
    notes = tuple(note for table in tables.values() for note in table.notes)
    return Table(title, first.header, cells, first.separator, notes), np.repeat(list(counts), list(counts.values()))


def _values(table: Table, layout: Layout, groups: list[_Group], found: Numbers) -> tuple[dict[str, Values], list[str]]:
    """The columns in the order of a panel, and warnings about those left out."""
    past = np.concatenate([group.past for group in groups])
    target = str(layout.target)
    values = {target: _complete(found, target, "target", past)}
    warnings: list[str] = []
    if layout.inputs is None:
        _check_varies(values[target][past], target)
        for column in table.header:
            if column not in {target, layout.series, layout.time, *layout.known}:
                inputs, problem = _input(table, column, groups, past, found)
                warnings += [problem] if problem else []
                values |= {} if inputs is None else {column: inputs}
    for column in layout.inputs or ():
        _check_named(table, "inputs", column, target)
        values[column] = _complete(found, column, "column", past)
    every = np.arange(len(values[target]))
    return values | {column: _complete(found, column, "known column", every) for column in layout.known}, warnings


def as_csv(source: Source) -> Source:
    """A Parquet file as the CSV file with the same cells; other files unchanged.

    Raises:
        InputError: the Parquet file is damaged.
        MissingError: pyarrow is not installed.
    """
    if not source.raw.startswith(MAGIC):
        return source
    return replace(source, raw=csv_of(read_parquet(source)))


def csv_of(frame: pd.DataFrame) -> bytes:
    """A frame as a CSV file; an index that has a name or holds dates becomes a column."""
    if isinstance(frame.index, pd.PeriodIndex):
        frame = frame.set_axis(frame.index.to_timestamp())
    dated = isinstance(frame.index, pd.DatetimeIndex)
    named = frame.index.names != [None]
    if dated and not named:
        frame = frame.rename_axis(index="time")
    if dated and isinstance(frame.index.dtype, pd.DatetimeTZDtype):
        written = _with_zone(pd.DatetimeIndex(frame.index))
        frame = frame.set_axis(pd.Index(written, dtype=object, name=frame.index.name))
    zoned = frame.dtypes[[isinstance(kind, pd.DatetimeTZDtype) for kind in frame.dtypes]].index
    frame = frame.assign(**{name: _with_zone(pd.DatetimeIndex(frame[name])) for name in zoned})
    return frame.to_csv(index=bool(dated or named)).encode()


def _with_zone(dates: pd.DatetimeIndex) -> list[str]:
    """Dates in ISO 8601 with the name of their zone in brackets, as in RFC 9557."""
    name = str(dates.tz)
    zone = f"[{name}]" if name in available_timezones() else ""
    return ["" if pd.isna(date) else f"{date.isoformat()}{zone}" for date in dates]


def _check_target(table: Table, target: str | None) -> None:
    fix = "name it with target=COLUMN" + header_of_numbers(table.header)
    if target is None:
        raise InputError(
            "SERIES_TARGET",
            "forecasting needs the name of the column to forecast",
            fix=f"{fix}; {table.name} has the columns {listed(table.header)}",
        )
    check_column(table.name, target, table.header, fix=fix)


def _check_named(table: Table, role: str, name: str, target: str) -> None:
    if name == target:
        raise InputError("SERIES_TWICE", f"{name!r} is both target= and {role}=", fix="name another column")
    if role == "inputs":
        check_column(table.name, name, table.header, fix="add it, as in training", reader="the model")
    else:
        check_column(table.name, name, table.header, fix=f"name another with {role}=")


def _groups(table: Table, layout: Layout) -> list[_Group]:
    """The rows of each series in file order; the series are sorted by name."""
    count = len(table.cells[table.header[0]])
    if layout.series is None:
        parts = {"": np.arange(count)}
    else:
        names = np.array([cell.strip() for cell in table.cells[layout.series]])
        if "" in names:
            raise InputError(
                "SERIES_NAME",
                f"row {int(np.argmax(names == '')) + 1} below the header of {table.name} names no series in "
                f"{layout.series!r}",
                fix="fill that cell, or remove the row",
            )
        parts = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    open_ended = layout.target is not None and bool(layout.known)
    missing = _missing(table.cells[str(layout.target)]) if open_ended else np.zeros(count, bool)
    return [_Group(name, rows, _trailing(missing[rows])) for name, rows in parts.items()]


def _trailing(missing: NDArray[np.bool_]) -> int:
    """The number of missing cells at the end."""
    return int(np.argmin(missing[::-1])) if not missing.all() else 0


def _check_rows(table: Table, group: _Group, minimum: int, why: str) -> None:
    rows = len(group.past)
    if rows < minimum:
        whose = f"the series {group.name!r} of {table.name}" if group.name else table.name
        raise InputError(
            "SERIES_SHORT",
            f"{whose} has {rows} rows, but at least {minimum} are needed: {why}",
            fix="leave that series out, or pass a longer one" if group.name else "pass a longer series",
        )


def _missing(cells: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([cell.strip().casefold() in MISSING for cell in cells])


def _check_varies(values: Values, target: str) -> None:
    if np.all(values == values[0]):
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {target!r} is {values[0]:g} in all {len(values)} rows, so there is nothing to forecast",
            fix="name another column",
        )


def _complete(found: Numbers, column: str, role: str, rows: Rows) -> Values:
    """The numbers of a column, which must have one in each of these rows."""
    cells = found.columns[column]
    values, missing = found.read(column), _missing(cells)
    needed = np.zeros(len(cells), bool)
    needed[rows] = True
    problems: list[tuple[NDArray[np.bool_], str, str]] = [
        (missing, "is missing", "fill the gaps, or pass a part of the series without gaps"),
        (np.isnan(values) & ~missing, "is not a number", NUMBER),
        (np.abs(values) > LARGEST, "is infinite or too large", "correct it, or rescale the column"),
    ]
    for bad, what, fix in sorted(problems, key=lambda problem: problem[0].sum(), reverse=True):
        if (bad & needed).any():
            raise _bad_cell(found, column, role, bad & needed, what, fix)
    return values


def _bad_cell(found: Numbers, column: str, role: str, bad: NDArray[np.bool_], what: str, fix: str) -> InputError:
    row, count = int(np.argmax(bad)), int(bad.sum())
    cell = found.columns[column][row].strip()
    held = f" holds {cell[:40]!r}, which {what}" if cell else f" {what}"
    return InputError(
        "SERIES_VALUE",
        f"the {role} {column!r} of {found.title} must be a finite number in every row, but row {row + 1} "
        f"below the header{held} ({count} of {len(bad)} rows are like this)",
        fix=fix,
    )


def _input(table: Table, column: str, groups: list[_Group], past: Rows, found: Numbers) -> tuple[Values | None, str]:
    """The numbers of an input column, or a warning why it is left out."""
    cells = table.cells[column]
    label = f"column {column!r} was left out: " if column else "the column without a name was left out: "
    if not column:
        return None, label + "give it a name to use it"
    values, missing = found.read(column), _missing(cells)
    if missing.all() or np.isnan(values[~missing]).any():
        for group in groups:
            _check_order(table, column, group)
        return None, label + (
            "it holds dates" if is_dates([cell.strip() for cell in cells]) else "it does not hold numbers"
        )
    bad = ~(np.abs(values) <= LARGEST)
    bad[np.setdiff1d(np.arange(len(bad)), past)] = False
    if bad.any():
        problem = f"{int(bad.sum())} cells are missing or infinite, the first in row {int(np.argmax(bad)) + 1}"
        return None, label + problem
    problem = _monotonic([np.diff(values[group.past]) for group in groups])
    return (None, label + problem) if problem else (values, "")


def _monotonic(steps: list[Values]) -> str:
    if all((part > 0).all() for part in steps):
        return "it rises in every row, like a date or a row number, so the test holds values that training has not seen"
    if all((part < 0).all() for part in steps):
        return "it falls in every row; if it is the time, sort the rows oldest first"
    return ""


def _check_order(table: Table, column: str, group: _Group) -> None:
    cells = [table.cells[column][row] for row in group.rows]
    falls = [np.diff(dates) < np.timedelta64(0) for dates in is_dates([cell.strip() for cell in cells])]
    if not all(fall.any() for fall in falls) or not falls:
        return
    row = int(np.argmax(falls[0])) + 1
    raise InputError(
        "SERIES_ORDER",
        f"the rows of {table.name} must be in time order, oldest first, but {column!r} goes from "
        f"{cells[row - 1]} back to {cells[row]} at row {int(group.rows[row]) + 1}",
        fix=f"sort the file by {column!r}, name the column that tells the series apart with series=COLUMN, or remove "
        f"{column!r} if it is not the time",
    )
