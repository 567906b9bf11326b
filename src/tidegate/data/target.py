"""Which columns of a table are forecast: one, several, or every column of numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tidegate.data.category import categories_of
from tidegate.data.column import check_column, listed, several
from tidegate.data.feature import ColumnReader, Rows, constant, left_out
from tidegate.data.series import series_of
from tidegate.data.table import Table, header_of_numbers
from tidegate.errors import InputError

ALL = "all"


def read_targets(
    table: Table,
    wanted: str | Sequence[str] | None,
    others: Collection[str],
    groups: Mapping[str, Rows],
    reader: ColumnReader,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to forecast, and notes of those that ``all`` leaves out.

    Args:
        table: the cells.
        wanted: what the user wrote: a column, several with commas between them, or ``all``; or the names that a
            trained model needs.
        others: the columns that have another purpose.
        groups: the rows of each name.
        reader: of the columns.

    Raises:
        InputError: nothing is named, a column is missing or named twice, or no column holds numbers.
    """
    fix = "name it with target=COLUMN" + header_of_numbers(table.header)
    if wanted is None:
        raise InputError(
            "SERIES_TARGET",
            "forecasting needs the name of the column to forecast",
            fix=f"{fix}, or all with target='{ALL}'; {table.name} has the columns {listed(table.header)}",
        )
    if not isinstance(wanted, str):
        for name in wanted:
            check_column(table.name, name, table.header, fix="add it, as in training", reader="the model")
        return tuple(wanted), ()
    if wanted == ALL and ALL not in table.header:
        return _every(table, others, groups, reader)
    names = several(wanted, table.header)
    for name in names:
        check_column(table.name, name, table.header, fix=fix)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError("SERIES_TWICE", f"target= names {twice[0]!r} twice", fix="name each column once")
    return names, (f"target={ALL!r} is the column of that name",) if wanted == ALL else ()


def _every(
    table: Table, others: Collection[str], groups: Mapping[str, Rows], reader: ColumnReader
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All columns of numbers that change, and notes of the others."""
    names, notes = [], []
    for name in (name for name in table.header if name not in others):
        problem = _obstacle(table, name, groups, reader)
        names += [] if problem else [name]
        notes += [problem] if problem else []
    if not names:
        raise InputError(
            "SERIES_TARGET",
            f"target='{ALL}' takes every column of numbers, but {table.name} has none: {'; '.join(notes[:3])}",
            fix=f"name one with target=COLUMN; it has the columns {listed(table.header)}",
        )
    return tuple(names), tuple(notes)


def _obstacle(table: Table, name: str, groups: Mapping[str, Rows], reader: ColumnReader) -> str:
    """Why a column is no target; empty if it is one."""
    if reader.found.yes_no(name) or categories_of(table.cells[name]):
        return f"column {name!r} was not taken as a target: it holds no numbers"
    past = [series.past for series in series_of(table, groups, (name,))]
    parts, problem = ColumnReader(table, reader.found, reader.fill).input(name, past)
    if not problem and constant(np.concatenate(parts)):
        problem = "it holds one value in all rows"
    return left_out(name, problem) if problem else ""
