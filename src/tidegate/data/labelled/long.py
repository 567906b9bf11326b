"""Series and their classes from tables with a row for each step of each series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.calendar import check_rising
from tidegate.data.column import check_column, listed, several
from tidegate.data.frame import as_csv
from tidegate.data.labelled.gap import observed
from tidegate.data.labelled.record import Columns, Label, Labelled, Layout
from tidegate.data.labelled.table import label_column
from tidegate.data.labelled.ts import LARGEST
from tidegate.data.moment import with_times
from tidegate.data.number import MISSING, Numbers
from tidegate.data.owner import owners_of, same_owner
from tidegate.data.parquet import MAGIC
from tidegate.data.reading import Dating, read_times
from tidegate.data.series import Rows, rows_by_name
from tidegate.data.source import Source
from tidegate.data.step import Times
from tidegate.data.table import Table, read_table
from tidegate.errors import InputError

Floats = NDArray[np.float64]


def read_long(source: Source, layout: Layout) -> Labelled:
    """A table with a row for each step: a column names the series, one its class, one may hold times.

    All other columns of numbers are channels; empty cells are missing values. A column without any number is left out,
    with a note.

    Args:
        source: CSV, TSV or Parquet.
        layout: which column is what.

    Raises:
        InputError: the file is no such table, a column is missing, a series has several classes, a cell is no number,
            or times are repeated, out of order or can be read in two ways.
    """
    names = layout.series
    if names is None:
        raise InputError(
            "LONG_SERIES",
            f"{source.title} has the times {layout.time!r}, but no column is named that tells its series apart",
            fix="name it with series=COLUMN",
        )
    layout = _marks(source, layout)
    table = read_table(as_csv(source), layout.separator)
    _check_roles(table, layout)
    table, time = with_times(table, layout.time)
    check_column(table.name, names, table.header, fix="name another with series=")
    groups = rows_by_name(table, names)
    learnt = layout.columns.names if layout.columns else ()
    label = label_column(source, table.header, layout, taken=(names, time, layout.owner, *learnt))
    owners = _owners(table, layout.owner, groups)
    channels = _channels(table, layout, (names, time, label, layout.owner))
    times = _Clock.of(table, time, groups, layout)
    items, notes = observed([channels.cells[rows] for rows in groups.values()], times.places)
    labels = () if label is None else _labels(table, label, groups)
    columns = Columns(channels.names, times.form, times.zone, channels.numbers.mark(channels.names))
    said = (*table.notes, *times.notes, *channels.notes, *channels.numbers.notes(channels.names), *notes)
    return Labelled(items, labels, said, tuple(groups), columns, owners)


def _owners(table: Table, column: str | None, groups: Mapping[str, Rows]) -> tuple[str, ...]:
    if column is None:
        return ()
    rows = owners_of(table.name, table.cells, column, lambda row: f"row {row + 1} below the header")
    return same_owner(table.name, {name: [rows[row] for row in own] for name, own in groups.items()}, column)


def _marks(source: Source, layout: Layout) -> Layout:
    """The layout of this source: where we write the table, from a frame or from Parquet, its marks are ours."""
    ours = source.address == "memory" or source.raw.startswith(MAGIC)
    return replace(layout, separator=",", decimal=".") if ours else layout


def _check_roles(table: Table, layout: Layout) -> None:
    times = several(layout.time, table.header) if layout.time else ()
    for role, name in (("series", layout.series), ("label", layout.label)):
        if name in times:
            raise InputError("SERIES_TWICE", f"{name!r} is both {role}= and time=", fix="name another column")


@dataclass(frozen=True)
class _Channels:
    """The columns of values.

    Attributes:
        names: of the columns.
        cells: [rows, C] their numbers, NaN where a cell is empty.
        numbers: how they were read.
        notes: which columns were left out.
    """

    names: tuple[str, ...]
    cells: Floats
    numbers: Numbers
    notes: tuple[str, ...]


def _channels(table: Table, layout: Layout, others: Sequence[str | None]) -> _Channels:
    learnt = layout.columns
    cells = {name: own for name, own in table.cells.items() if name not in others}
    numbers = Numbers(table.name, cells, table.separator, layout.decimal, learnt.decimal if learnt else None)
    for name in learnt.names if learnt else ():
        check_column(table.name, name, [*cells], fix="add it, as in training", reader="the model")
    wanted = list(learnt.names) if learnt else [name for name in cells if _holds_numbers(numbers, name)]
    if not wanted:
        raise InputError(
            "LONG_VALUES",
            f"{table.name} has no column of numbers beside the names of the series, their times and classes",
            fix=f"add the values; it has the columns {listed(table.header)}",
        )
    values = np.stack([_read(table, numbers, name) for name in wanted], axis=1)
    left = [name for name in cells if name not in wanted] if learnt is None else []
    notes = (f"left out columns without numbers: {listed(left)}",) if left else ()
    return _Channels(tuple(wanted), values, numbers, notes)


def _holds_numbers(numbers: Numbers, name: str) -> bool:
    return bool(np.isfinite(numbers.read(name)).any())


def _read(table: Table, numbers: Numbers, name: str) -> Floats:
    """A column whose cells are numbers or empty."""
    values = numbers.read(name)
    with np.errstate(invalid="ignore"):
        odd = np.isnan(values) | (np.abs(values) > LARGEST)
    for row in np.flatnonzero(odd).tolist():
        cell = table.cells[name][row].strip()
        if cell.casefold() not in MISSING:
            raise InputError(
                "LONG_VALUE",
                f"{name!r} in row {row + 1} below the header of {table.name} is {cell[:40]!r}, not a number below 1e30",
                fix="correct it, leave the cell empty where the value is missing, or remove the column",
            )
    return values


def _labels(table: Table, label: str, groups: Mapping[str, Rows]) -> tuple[Label, ...]:
    """The class of each series, which all its rows with a class agree on."""
    cells = [cell.strip() for cell in table.cells[label]]
    return tuple(_one_label(table, label, name, [(row, cells[row]) for row in rows]) for name, rows in groups.items())


def _one_label(table: Table, label: str, name: str, cells: Sequence[tuple[int, str]]) -> str:
    given = [(int(row), cell) for row, cell in cells if cell]
    if not given:
        raise InputError(
            "LONG_LABEL",
            f"the series {name!r} of {table.name} has no class in {label!r}",
            fix="fill it in one of its rows, or name another column with label=",
        )
    other = next((row for row, cell in given if cell != given[0][1]), None)
    if other is not None:
        raise InputError(
            "LONG_LABEL",
            f"the series {name!r} of {table.name} has the class {given[0][1]!r} in row {given[0][0] + 1} below the "
            f"header, but {table.cells[label][other].strip()!r} in row {other + 1}",
            fix="give a series one class, or name another column with label= or series=",
        )
    return given[0][1]


@dataclass(frozen=True)
class _Clock:
    """The times of each series, in seconds or in the unit of the file; None without a column of times."""

    places: list[Floats] | None = None
    form: str = ""
    zone: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, table: Table, column: str | None, groups: Mapping[str, Rows], layout: Layout) -> _Clock:
        if column is None:
            return cls()
        learnt = layout.columns
        dating = Dating(form=learnt.form, zone=learnt.zone, learnt=True) if learnt else layout.dating
        cells = [cell.strip() for cell in table.cells[column]]
        reading = read_times(table.name, column, cells, list(groups.items()), dating)
        for name, rows in groups.items():
            check_rising(table, column, cells, reading.times[rows], rows, name)
        places = _seconds(reading.times)
        return cls([places[rows] for rows in groups.values()], reading.form, reading.zone, reading.notes)


def _seconds(times: Times) -> Floats:
    """Times as numbers: those of the file, or seconds from the first date."""
    index: Any = times.index
    if not times.dated:
        return np.asarray(index, dtype=np.float64)
    return np.asarray((index - index.min()) / pd.Timedelta(1, "s"), dtype=np.float64)
