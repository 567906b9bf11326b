"""Which columns of a table are forecast: one, several, or every column of numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from tidegate.data.column import check_column, listed, several
from tidegate.data.feature import Rows, as_input, constant
from tidegate.data.number import Numbers
from tidegate.data.series import series_of
from tidegate.data.table import Table, header_of_numbers
from tidegate.errors import InputError

ALL = "all"


def read_targets(
    table: Table,
    wanted: str | Sequence[str] | None,
    others: Collection[str],
    groups: Mapping[str, Rows],
    found: Numbers,
    *,
    open_ended: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to forecast, and notes of those that ``all`` leaves out.

    Args:
        table: the cells.
        wanted: what the user wrote: a column, several with commas between them, or ``all``; or the names that a
            trained model needs.
        others: the columns that have another purpose.
        groups: the rows of each name.
        found: the numbers of the table.
        open_ended: whether rows at the end may lack a target.

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
        return _every(table, others, groups, found, open_ended=open_ended)
    names = several(wanted, table.header)
    for name in names:
        check_column(table.name, name, table.header, fix=fix)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError("SERIES_TWICE", f"target= names {twice[0]!r} twice", fix="name each column once")
    return names, (f"target={ALL!r} is the column of that name",) if wanted == ALL else ()


def _every(
    table: Table, others: Collection[str], groups: Mapping[str, Rows], found: Numbers, *, open_ended: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All columns of numbers that change, and notes of the others."""
    names, notes = [], []
    for name in table.header:
        if name in others:
            continue
        past = [series.past for series in series_of(table, dict(groups), (name,), open_ended=open_ended)]
        values, problem = as_input(table, name, past, found)
        if values is not None and constant(values[np.concatenate(past)]):
            problem = f"column {name!r} was left out: it holds one value in all rows"
        elif values is not None and found.yes_no(name):
            problem = f"column {name!r} was not taken as a target: it holds no numbers"
        names += [] if problem else [name]
        notes += [problem] if problem else []
    if not names:
        raise InputError(
            "SERIES_TARGET",
            f"target='{ALL}' takes every column of numbers, but {table.name} has none: {'; '.join(notes[:3])}",
            fix=f"name one with target=COLUMN; it has the columns {listed(table.header)}",
        )
    return tuple(names), tuple(notes)
