"""Tables as cells of text; each row is checked against the header."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from tidegate.data.column import counted, listed
from tidegate.data.number import numbers
from tidegate.data.row import Row, Rows, read_rows
from tidegate.data.source import Source
from tidegate.errors import InputError


@dataclass(frozen=True)
class Table:
    """The cells of a file as text; row 1 is the first below the header.

    Attributes:
        separator: what stands between the cells of the file.
        notes: what was left out, and what may have been meant otherwise.
    """

    name: str
    header: list[str]
    cells: dict[str, list[str]]
    separator: str = ","
    notes: tuple[str, ...] = ()


def read_table(source: Source, separator: str | None = None) -> Table:
    """Read a file separated by commas, semicolons, tabs or bars, whose first line names the columns.

    Empty rows at the end, blank lines and empty columns at the right are left out, with a note.

    Args:
        source: the file.
        separator: as ``read_rows`` takes it; unless given, found from all rows.

    Raises:
        InputError: the file is not such a table, has no rows, or has a row that does not fit the header.
    """
    read = read_rows(source, separator)
    _check_read(source, read)
    header = [name.strip() for name in read.header.cells[: read.width]]
    check_header(source, header)
    rows, notes = _kept(read)
    for row in rows:
        check_row(source, row, read)
    if not rows:
        raise InputError(
            "SERIES_EMPTY",
            f"{source.title} has a header ({listed(header)}) but no rows",
            fix="add the rows below it",
        )
    columns = zip(*(row.cells[: read.width] for row in rows), strict=True)
    cells = {name: list(column) for name, column in zip(header, columns, strict=True)}
    return Table(source.title, header, cells, read.separator, (*read.notes, *notes))


def _kept(read: Rows) -> tuple[list[Row], list[str]]:
    """The rows below the header without blank ones, and notes of what was left out."""
    below = read.rows[read.rows.index(read.header) + 1 :]
    end = next((place for place in range(len(below), 0, -1) if not below[place - 1].blank), 0)
    tail, below = below[end:], below[:end]
    if read.width == 1:  # a blank line is a missing cell
        rows = [row if row.cells else Row(row.line, [""]) for row in below]
    else:
        rows = [row for row in below if row.cells]
    notes = []
    if any(row.cells for row in tail):  # a blank line at the end is no row to anybody
        notes.append(f"left out {counted(len(tail), 'empty row')} at the end, from line {tail[0].line} on")
    if len(rows) < len(below):
        blank = next(row.line for row in below if not row.cells)
        notes.append(f"left out {counted(len(below) - len(rows), 'blank line')}, the first is line {blank}")
    longer = [row.line for row in rows if len(row.cells) > len(read.header.cells)]
    if longer:
        notes.append(f"left out empty cells at the end of {counted(len(longer), 'row')}, the first in line {longer[0]}")
    right = len(read.header.cells) - read.width
    if right:
        notes.append(f"left out {counted(right, 'column')} at the right without a name and without cells")
    return rows, notes


def _check_read(source: Source, read: Rows) -> None:
    if read.error:
        raise InputError(
            "SERIES_CSV", f"{source.title} is not a CSV file: {read.error}", fix="check the quotes on that line"
        )
    if read.header.blank:
        raise InputError("SERIES_EMPTY", f"{source.title} names no columns", fix="name them in the first line")


def check_header(source: Source, header: list[str]) -> None:
    """Refuse names of columns that come twice or are missing.

    Raises:
        InputError: there is such a name.
    """
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        places = [place for place, name in enumerate(header, 1) if name == repeated[0]]
        what = (
            f"names the column {repeated[0]!r} more than once" if repeated[0] else "has several columns without a name"
        )
        raise InputError(
            "SERIES_HEADER",
            f"{source.title} {what} in its first line: columns {places[0]} and {places[1]} of {len(header)}",
            fix="give every column a name of its own" + header_of_numbers(header),
        )


def check_row(source: Source, row: Row, read: Rows) -> None:
    """Refuse a row that does not fit the header.

    Raises:
        InputError: it has other columns.
    """
    if not read.fits(row):
        raise InputError(
            "SERIES_ROW",
            f"line {row.line} of {source.title} has {counted(len(row.cells), 'cell')}, but the first line names "
            f"{counted(read.width, 'column')}",
            fix="correct that line, and quote cells that contain the separator, or name another with separator=",
        )


def header_of_numbers(header: list[str]) -> str:
    """A hint for an error about the header, if the first line looks like data."""
    return "" if np.isnan(numbers(header)).all() else "; the first line must name the columns, but it holds numbers"
