"""The series of a table: a column to forecast, in the rows that one name has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tidegate.data.feature import missing_cells
from tidegate.data.table import Table
from tidegate.errors import InputError

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Series:
    """The rows of one series, counted from 0 below the header, -1 where one is missing.

    Attributes:
        name: as the column of names has it; empty without one.
        target: the column to forecast.
        label: what tells it from all other series.
        rows: its rows, in file order, from the first with a target on.
        first: the place of the first of them among all rows of all names.
        late: how many rows before the first have no target.
        future: how many of them, at the end, have no target yet.
    """

    name: str
    target: str
    label: str
    rows: Rows
    first: int
    late: int = 0
    future: int = 0

    @property
    def past(self) -> Rows:
        """The rows that have a target."""
        return self.rows[: len(self.rows) - self.future]


def rows_by_name(table: Table, column: str | None) -> dict[str, Rows]:
    """The rows of each name in file order, sorted by name; all rows without a column of names.

    Raises:
        InputError: a row has no name.
    """
    if column is None:
        return {"": np.arange(len(table.cells[table.header[0]]))}
    names = np.array([cell.strip() for cell in table.cells[column]])
    if "" in names:
        raise InputError(
            "SERIES_NAME",
            f"row {int(np.argmax(names == '')) + 1} below the header of {table.name} names no series in {column!r}",
            fix="fill that cell, or remove the row",
        )
    distinct, place = np.unique(names, return_inverse=True)
    parts = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    return {str(name): rows for name, rows in zip(distinct, parts, strict=True)}


def series_of(table: Table, groups: Mapping[str, Rows], targets: Sequence[str]) -> list[Series]:
    """Every target of every name, from its first value on; rows behind its last value lie ahead.

    Args:
        table: the cells.
        groups: the rows of each name, -1 where one is missing.
        targets: the columns to forecast.

    Raises:
        InputError: two of them would have the same label.
    """
    empty = {target: missing_cells(table.cells[target]) for target in targets}
    found, at = [], 0
    for name, rows in groups.items():
        for target in targets:
            lacking = (rows < 0) | empty[target][rows]
            whole = lacking.all()
            lead, future = (0, 0) if whole else (int(np.argmin(lacking)), int(np.argmin(lacking[::-1])))
            found.append(Series(name, target, _label(name, target, targets), rows[lead:], at + lead, lead, future))
        at += len(rows)
    by_label: dict[str, Series] = {}
    for series in found:
        other = by_label.setdefault(series.label, series)
        if other is not series:
            raise InputError(
                "SERIES_LABEL",
                f"{other.target!r} of {other.name!r} and {series.target!r} of {series.name!r} would both be called "
                f"{series.label!r}",
                fix="rename one of them",
            )
    return found


def _label(name: str, target: str, targets: Sequence[str]) -> str:
    if len(targets) == 1:
        return name
    return f"{target} of {name}" if name else target


def check_rows(table: Table, series: Series, minimum: int, why: str) -> None:
    """Refuse a series that is too short.

    Raises:
        InputError: fewer than ``minimum`` rows have a target; ``why`` says why that many are needed.
    """
    rows = len(series.past)
    if rows < minimum:
        whose = f"the series {series.label!r} of {table.name}" if series.label else table.name
        raise InputError(
            "SERIES_SHORT",
            f"{whose} has {rows} rows, but at least {minimum} are needed: {why}",
            fix="leave that series out, or pass a longer one" if series.label else "pass a longer series",
        )
