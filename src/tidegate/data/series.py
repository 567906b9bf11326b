"""Tables of numbers over time: the column to forecast, and what else is known at each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.api import guess_datetime_format

from tidegate.data.source import Source, did_you_mean
from tidegate.data.table import Table, header_of_numbers, numbers, read_table
from tidegate.errors import InputError

MISSING = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "-nan", "nat", "null", "none", "?"})
LARGEST = 1e150  # squares of larger numbers overflow

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Numbers in time order.

    Attributes:
        columns: the target's name, then the other inputs'.
        values: [rows, columns] float64, all finite, in the file's units.
        warnings: what was left out, and why.
    """

    columns: tuple[str, ...]
    values: Values
    warnings: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The name of the column to forecast."""
        return self.columns[0]


def read_series(source: Source, target: str | None, minimum: int, why: str) -> Series:
    """Read a CSV file whose rows are in time order, oldest first.

    The other columns of numbers become further inputs. A column that holds no numbers, lacks cells
    or only rises or falls (a date, a year, a row number) is left out with a warning.

    Args:
        source: comma, semicolon or tab separated; the first line names the columns.
        target: the column to forecast.
        minimum: how many rows are needed.
        why: what they are needed for.

    Raises:
        InputError: the file is no such table, the target is absent, not numeric, not complete or
            constant, there are too few rows, or dates show that they are not in order.
    """
    table = read_table(source)
    _check_target(table, target)
    _check_rows(table, minimum, why)
    assert target is not None
    values = {target: _target(table, target)}
    warnings: list[str] = []
    for column in table.header:
        if column != target:
            found, problem = _input(table, column)
            warnings += [problem] if problem else []
            values |= {} if found is None else {column: found}
    return Series(tuple(values), np.stack(list(values.values()), axis=1), tuple(warnings))


def _check_target(table: Table, target: str | None) -> None:
    known = f"{table.name} has the columns {_listed(table.header)}{header_of_numbers(table.header)}"
    if target is None:
        raise InputError(
            "SERIES_TARGET",
            "forecasting needs the name of the column to forecast",
            fix=f"name it with --target COLUMN (target= in Python); {known}",
        )
    if target not in table.header:
        near = did_you_mean(target, table.header)
        raise InputError("SERIES_COLUMN", f"{table.name} has no column {target!r}{near}", fix=known)


def _listed(names: list[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more


def _check_rows(table: Table, minimum: int, why: str) -> None:
    rows = len(table.cells[table.header[0]])
    if rows < minimum:
        raise InputError(
            "SERIES_SHORT",
            f"{table.name} has {rows} rows, but at least {minimum} are needed: {why}",
            fix="pass a longer series",
        )


def _missing(cells: list[str]) -> NDArray[np.bool_]:
    return np.array([cell.strip().casefold() in MISSING for cell in cells])


def _target(table: Table, target: str) -> Values:
    cells = table.cells[target]
    values, missing = numbers(cells), _missing(cells)
    problems: list[tuple[NDArray[np.bool_], str, str]] = [
        (missing, "is missing", "fill the gaps, or cut the series to a part without any"),
        (np.isnan(values) & ~missing, "is not a number", "write numbers like 1234.5, without units"),
        (np.abs(values) > LARGEST, "is infinite or too large", "correct it, or rescale the column"),
    ]
    for bad, what, fix in sorted(problems, key=lambda problem: problem[0].sum(), reverse=True):
        if bad.any():
            raise _bad_cell(table, target, bad, what, fix)
    if np.all(values == values[0]):
        raise InputError(
            "SERIES_CONSTANT",
            f"the target {target!r} is {values[0]:g} in all {len(values)} rows: there is nothing to forecast",
            fix="name another column",
        )
    return values


def _bad_cell(table: Table, target: str, bad: NDArray[np.bool_], what: str, fix: str) -> InputError:
    row, count = int(np.argmax(bad)), int(bad.sum())
    cell = table.cells[target][row].strip()
    held = f" holds {cell[:40]!r}, which {what}" if cell else f" {what}"
    return InputError(
        "SERIES_VALUE",
        f"the target {target!r} of {table.name} must be a finite number in every row, but row {row + 1} "
        f"below the header{held} ({count} such of {len(bad)} rows)",
        fix=fix,
    )


def _input(table: Table, column: str) -> tuple[Values | None, str]:
    """The numbers of a further column, or why it is left out."""
    cells = table.cells[column]
    label = f"column {column!r} was left out: " if column else "the column without a name was left out: "
    if not column:
        return None, label + "name it to use it"
    values, missing = numbers(cells), _missing(cells)
    if missing.all() or np.isnan(values[~missing]).any():
        _check_order(table, column)
        return None, label + ("it holds dates" if _dates(cells) is not None else "it does not hold numbers")
    bad = ~(np.abs(values) <= LARGEST)
    if bad.any():
        problem = f"{int(bad.sum())} cells are missing or infinite, the first in row {int(np.argmax(bad)) + 1}"
        return None, label + problem
    return (None, label + problem) if (problem := _clock(values)) else (values, "")


def _clock(values: Values) -> str:
    steps = np.diff(values)
    if (steps > 0).all():
        return "it rises in every row like a date or a row number, so later values say nothing that training saw"
    if (steps < 0).all():
        return "it falls in every row; if it is the time, sort the rows oldest first"
    return ""


def _dates(cells: list[str]) -> Any:
    form = guess_datetime_format(cells[0].strip())
    if form is None:
        return None
    dates = pd.to_datetime(pd.Series(cells, dtype=object).str.strip(), format=form, errors="coerce", utc=True)
    return None if dates.isna().any() else dates


def _check_order(table: Table, column: str) -> None:
    dates = _dates(table.cells[column])
    if dates is None or dates.is_monotonic_increasing:
        return
    row = int(np.argmax(dates.diff().to_numpy() < np.timedelta64(0, "ns")))
    raise InputError(
        "SERIES_ORDER",
        f"the rows of {table.name} must be in time order, oldest first, but {column!r} goes from "
        f"{table.cells[column][row - 1]} back to {table.cells[column][row]} at row {row + 1}",
        fix=f"sort the file by {column!r}, keep one series only, or remove that column if it is not the time",
    )
