"""Tables of time series: the column to forecast, and what else is known in each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tidegate.data.calendar import Clock, read_clock
from tidegate.data.column import check_column, counted, in_text, listed, several
from tidegate.data.covariate import read_covariates
from tidegate.data.feature import ColumnReader, Rows, Values
from tidegate.data.frame import as_csv
from tidegate.data.moment import with_times
from tidegate.data.number import Decimal, Numbers
from tidegate.data.owner import owners_of, same_owner
from tidegate.data.parquet import MAGIC
from tidegate.data.reading import Dating
from tidegate.data.series import Series, check_rows, rows_by_name, series_of
from tidegate.data.source import Source
from tidegate.data.table import Table, read_table
from tidegate.data.target import read_targets
from tidegate.errors import InputError


@dataclass(frozen=True)
class Panel:
    """One or more series in time order, one after another.

    Attributes:
        columns: names: the target, the inputs, then the columns known ahead. Several targets are one name, as
            ``in_text`` writes them.
        values: [rows, columns] float64 in the file's units. Future rows are NaN except in columns known ahead.
        known: number of columns known ahead.
        names: what tells each series from the others; one empty name if there is only one.
        targets: [series] the column that each is of.
        groups: [series] its name in the column of names; empty without one.
        owners: [series] whom it belongs to; none unless the layout says where that stands.
        starts: [series + 1] the first row of each series, then the number of rows.
        future: [series] number of future rows at the end of each series.
        parts: [rows] 0 for rows of the file itself, 1 and 2 for rows of its validation and test files.
        clock: the time of each row, if a column holds it.
        decimal: the decimal mark of its numbers; None if none has one.
        categories: the texts of each column that holds some; each text is a column of 0 and 1.
        warnings: what was left out and why, and what was chosen between two readings.
    """

    columns: tuple[str, ...]
    values: Values
    known: int = 0
    names: tuple[str, ...] = ("",)
    targets: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("",)
    starts: tuple[int, ...] = ()
    future: tuple[int, ...] = (0,)
    parts: NDArray[np.intp] | None = None
    clock: Clock | None = None
    decimal: Decimal | None = None
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The name of the column to forecast, or the names of several."""
        return self.columns[0]


@dataclass(frozen=True)
class Layout:
    """The role of each column of a table.

    Attributes:
        target: the column to forecast, several in one text, or ``all``; the names themselves if a trained model needs
            them.
        series: the column that names the series of each row.
        time: the column of times: dates or numbers; or several in one text, as ``with_times`` reads them.
        known: columns known ahead; only these need values in the last rows of a series.
        inputs: the other columns that a trained model reads, which must be complete; unless given, all usable ones.
        dating: how the times are read.
        separator: what stands between cells, as ``read_rows`` takes it; unless given, found from all rows.
        decimal: the decimal mark; unless given, found from all rows.
        learnt: the decimal mark of the training data, for numbers that can be read in two ways.
        categories: the texts of each column that a trained model knows; found in the rows unless given.
        fill: the largest share of the rows of a series that may be missing or empty.
        owner: the column whose values say whom a series belongs to.
    """

    target: str | tuple[str, ...] | None
    series: str | None = None
    time: str | None = None
    known: tuple[str, ...] = ()
    inputs: tuple[str, ...] | None = None
    dating: Dating = field(default_factory=Dating)
    separator: str | None = None
    decimal: Decimal | None = None
    learnt: Decimal | None = None
    categories: Mapping[str, tuple[str, ...]] | None = None
    fill: float = 0.1
    owner: str | None = None

    @property
    def others(self) -> tuple[str, ...]:
        """The columns that cannot be targets or inputs."""
        return tuple(name for name in (self.series, self.time, self.owner, *self.known) if name is not None)

    def of(self, source: Source) -> Layout:
        """The layout of this source: where we write the table, from a frame or from Parquet, its marks are ours."""
        ours = source.address == "memory" or source.raw.startswith(MAGIC)
        return replace(self, separator=",", decimal=".") if ours else self


def read_panel(source: Source, layout: Layout, minimum: int, why: str) -> Panel:
    """Read a CSV or Parquet file whose rows are in time order, oldest first.

    The other columns become inputs, a column of texts one for each text. A column that has many texts or gaps, or only
    rises or falls (a date, a year, a row number) is left out with a warning. Rows that are missing and empty cells are
    filled, a few of them, with a warning; rows at the end without a target lie in the future.

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
    table, layout = _timed(table, layout)
    groups, found = _grouped(table, layout), _numbers(table, layout)
    clock, groups = _clock(table, layout, groups)
    reader = ColumnReader(table, found, layout.fill)
    targets, left = read_targets(table, layout.target, layout.others, groups, reader)
    _check_targets(layout, targets)
    series = series_of(table, groups, targets)
    for one in series:
        check_rows(table, one, minimum, why)
    columns = read_covariates(
        reader,
        series,
        layout.known,
        [name for name in table.header if name not in (*targets, *layout.others)]
        if layout.inputs is None
        else layout.inputs,
        layout.categories,
        choosing=layout.inputs is None,
    )
    order = np.concatenate([one.rows for one in series])
    notes = [*table.notes, *(clock.warnings if clock else ()), *found.notes(columns.numbers), *left, *columns.notes]
    return Panel(
        (in_text(targets), *columns.inputs, *columns.known),
        np.column_stack([columns.target, *columns.inputs.values(), *columns.known.values()]),
        known=len(columns.known),
        names=tuple(one.label for one in series),
        targets=tuple(one.target for one in series),
        groups=tuple(one.name for one in series),
        starts=(0, *np.cumsum([len(one.rows) for one in series]).tolist()),
        future=tuple(one.future for one in series),
        parts=parts[_before(order)],
        clock=clock and clock.at(np.concatenate([one.first + np.arange(len(one.rows)) for one in series])),
        decimal=found.mark(columns.numbers),
        categories=columns.categories,
        warnings=tuple(dict.fromkeys([*notes, *reader.notes, *_outside(series, layout)])),
        owners=_owners(table, layout, groups, series),
    )


def _owners(table: Table, layout: Layout, groups: Mapping[str, Rows], series: Sequence[Series]) -> tuple[str, ...]:
    """Whom each series belongs to, if that is asked for."""
    if layout.owner is None:
        return ()
    rows = owners_of(table.name, table.cells, layout.owner, lambda row: f"row {row + 1} below the header")
    named = {name: [rows[row] for row in own if row >= 0] for name, own in groups.items()}
    owner = dict(zip(named, same_owner(table.name, named, layout.owner), strict=True))
    return tuple(owner[one.name] for one in series)


def _inputs(table: Table, layout: Layout, targets: Sequence[str]) -> Sequence[str]:
    if layout.inputs is not None:
        return layout.inputs
    return [name for name in table.header if name not in (*targets, *layout.others)]


def _before(order: Rows) -> Rows:
    """[rows] each row, or the last one before it where it is missing."""
    return order[np.maximum.accumulate(np.where(order < 0, 0, np.arange(len(order))))]


def _outside(series: Sequence[Series], layout: Layout) -> Iterator[str]:
    """Notes of series that begin behind the first row, or end before the last without anything known ahead."""
    late = [one for one in series if one.late]
    early = [one for one in series if one.future and not layout.known]
    for found, what, count in ((late, "first", "late"), (early, "last", "future")):
        if found:
            rows = getattr(found[0], count)
            of = f" of the series {found[0].name!r}" if found[0].name else ""
            more = f", and {counted(len(found) - 1, 'series')} more are cut off there" if len(found) > 1 else ""
            yield f"{found[0].target!r}{of} is empty in the {what} {counted(rows, 'row')}, which are left out{more}"


def _grouped(table: Table, layout: Layout) -> dict[str, Rows]:
    """The rows of each name, after a check that the table has the columns of the layout."""
    for role, name in [("series", layout.series), *(("known", name) for name in layout.known)]:
        if name is not None:
            check_column(table.name, name, table.header, fix=f"name another with {role}=")
    for name in layout.inputs or ():
        check_column(table.name, name, table.header, fix="add it, as in training", reader="the model")
    return rows_by_name(table, layout.series)


def _timed(table: Table, layout: Layout) -> tuple[Table, Layout]:
    """The table with its times in one column, none of whose parts has another purpose."""
    times = several(layout.time, table.header) if layout.time else ()
    targets = several(layout.target, table.header) if isinstance(layout.target, str) else ()
    for role, names in (("target", targets), ("series", [layout.series]), ("known", layout.known)):
        for name in names:
            if name in times:
                raise InputError("SERIES_TWICE", f"{name!r} is both {role}= and time=", fix="name another column")
    table, time = with_times(table, layout.time)
    return table, replace(layout, time=time)


def _check_targets(layout: Layout, targets: Sequence[str]) -> None:
    for role, names in (("series", [layout.series]), ("known", layout.known)):
        for name in names:
            if name in targets:
                raise InputError("SERIES_TWICE", f"{name!r} is both target= and {role}=", fix="name another column")


def _clock(table: Table, layout: Layout, groups: dict[str, Rows]) -> tuple[Clock | None, dict[str, Rows]]:
    """The times of the rows of each name, and these rows with -1 where one is missing."""
    if layout.time is not None:
        return read_clock(table, layout.time, groups, layout.dating, layout.fill)
    given = {"day_first": layout.dating.day_first, "date_format": layout.dating.form, "time_zone": layout.dating.zone}
    for name, value in given.items():
        if value is not None and not layout.dating.learnt:
            raise InputError("DATING", f"{name}={value!r} is given, but no column of times", fix="name it with time=")
    return None, groups


def _numbers(table: Table, layout: Layout) -> Numbers:
    """The columns that may hold numbers, and how these are to be read."""
    columns = {
        name: cells for name, cells in table.cells.items() if name not in (layout.series, layout.time, layout.owner)
    }
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
