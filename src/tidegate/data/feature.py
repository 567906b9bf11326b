"""The cells of a column as numbers that a forecaster can read, or why they are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.data.date import is_dates
from tidegate.data.number import MISSING, Numbers
from tidegate.data.table import Table
from tidegate.errors import InputError

NUMBER = "write numbers like 1234.5, without units and blanks, or name the decimal mark with decimal="
LARGEST = 1e150  # squares of larger numbers overflow

Values = NDArray[np.float64]
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]


def missing_cells(cells: Sequence[str]) -> Flags:
    """[rows] whether a cell holds nothing."""
    return np.array([cell.strip().casefold() in MISSING for cell in cells])


def constant(values: Values) -> bool:
    """Whether all values are the same."""
    return bool(np.all(values == values[0]))


def check_varies(values: Values, target: str) -> None:
    """Refuse a target that never changes.

    Raises:
        InputError: all values are the same.
    """
    if constant(values):
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {target!r} is {values[0]:g} in all {len(values)} rows, so there is nothing to forecast",
            fix="name another column",
        )


def complete(found: Numbers, column: str, role: str, rows: Rows) -> Values:
    """The numbers of a column, which must have one in each of these rows.

    Raises:
        InputError: a cell is empty, no number, or too large; ``role`` says what the column is for.
    """
    cells = found.columns[column]
    values, missing = found.read(column), missing_cells(cells)
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


def as_input(table: Table, column: str, past: Sequence[Rows], found: Numbers) -> tuple[Values | None, str]:
    """The numbers of an input column, or a warning why it is left out.

    Args:
        table: the cells.
        column: the name of the column, which may be empty.
        past: for each series, the rows that must have a number.
        found: the numbers of the table.

    Raises:
        InputError: the column holds dates that are out of order.
    """
    cells = table.cells[column]
    label = f"column {column!r} was left out: " if column else "the column without a name was left out: "
    if not column:
        return None, label + "give it a name to use it"
    values, missing = found.read(column), missing_cells(cells)
    if missing.all() or np.isnan(values[~missing]).any():
        for rows in past:
            _check_order(table, column, rows)
        return None, label + (
            "it holds dates" if is_dates([cell.strip() for cell in cells]) else "it does not hold numbers"
        )
    bad = ~(np.abs(values) <= LARGEST)
    bad[np.setdiff1d(np.arange(len(bad)), np.concatenate(past))] = False
    if bad.any():
        problem = f"{int(bad.sum())} cells are missing or infinite, the first in row {int(np.argmax(bad)) + 1}"
        return None, label + problem
    problem = _monotonic([np.diff(values[rows]) for rows in past])
    return (None, label + problem) if problem else (values, "")


def _monotonic(steps: list[Values]) -> str:
    if all((part > 0).all() for part in steps):
        return "it rises in every row, like a date or a row number, so the test holds values that training has not seen"
    if all((part < 0).all() for part in steps):
        return "it falls in every row; if it is the time, sort the rows oldest first"
    return ""


def _check_order(table: Table, column: str, rows: Rows) -> None:
    cells = [table.cells[column][row] for row in rows]
    falls = [np.diff(dates) < np.timedelta64(0) for dates in is_dates([cell.strip() for cell in cells])]
    if not all(fall.any() for fall in falls) or not falls:
        return
    row = int(np.argmax(falls[0])) + 1
    raise InputError(
        "SERIES_ORDER",
        f"the rows of {table.name} must be in time order, oldest first, but {column!r} goes from "
        f"{cells[row - 1]} back to {cells[row]} at row {int(rows[row]) + 1}",
        fix=f"sort the file by {column!r}, name the column that tells the series apart with series=COLUMN, or remove "
        f"{column!r} if it is not the time",
    )
