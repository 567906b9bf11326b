"""The cells of a column as numbers that a forecaster can read, or why they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidegate.data.column import counted
from tidegate.data.date import is_dates
from tidegate.data.gap import filled
from tidegate.data.number import MISSING, Numbers
from tidegate.data.table import Table
from tidegate.errors import InputError

NUMBER = "write numbers like 1234.5, without units and blanks, or name the decimal mark with decimal="
LARGEST = 1e150  # squares of larger numbers overflow
TARGET, KNOWN, INPUT = "target", "known column", "column"  # what a column is for
EMPTY = "is missing"

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


@dataclass(frozen=True)
class ColumnReader:
    """Reads the columns of a table in the rows of its series, and fills their gaps.

    Attributes:
        table: the cells.
        found: its numbers.
        fill: the largest share of the rows of a series that may be empty.
        notes: what was filled.
    """

    table: Table
    found: Numbers
    fill: float
    notes: list[str] = field(default_factory=list)

    def complete(self, column: str, role: str, parts: Sequence[Rows]) -> list[Values]:
        """The numbers of a column in each of these parts.

        Gaps of a target or of a column known ahead are filled by straight lines, others by the value before.

        Args:
            column: its name.
            role: what it is for, in errors.
            parts: the rows of each series, -1 where one is missing.

        Raises:
            InputError: a cell is no number or too large, too many are empty, or the last one of a known column is.
        """
        cells, values = self.found.columns[column], self.found.read(column)
        missing, needed = missing_cells(cells), np.zeros(len(cells), bool)
        needed[_present(parts)] = True
        problems: list[tuple[Flags, str, str]] = [
            (np.isnan(values) & ~missing, "is not a number", NUMBER),
            (np.abs(values) > LARGEST, "is infinite or too large", "correct it, or rescale the column"),
        ]
        for bad, what, fix in sorted(problems, key=lambda problem: problem[0].sum(), reverse=True):
            if (bad & needed).any():
                raise _bad_cell(self.found, column, role, bad & needed, what, fix)
        self.check_gaps(column, role, parts, empty=missing)
        return self._filled(column, role, parts)

    def check_gaps(self, column: str, role: str, parts: Sequence[Rows], *, empty: Flags) -> None:
        """Refuse too many empty cells, and any at the end of a column known ahead.

        Args:
            column: its name.
            role: what it is for.
            parts: the rows of each series, -1 where one is missing.
            empty: which cells of the column are.

        Raises:
            InputError: there are too many, or the last one of a known column is empty.
        """
        for rows in parts:
            if role == KNOWN and empty[rows[-1]]:
                ends = np.zeros(len(empty), bool)
                ends[_present([rows[np.flatnonzero(~empty[rows]).max(initial=-1) + 1 :]])] = True
                raise _bad_cell(self.found, column, role, ends, EMPTY, "fill it in up to the last row")
            if problem := self._too_empty(empty, rows):
                raise InputError(
                    "SERIES_GAPS",
                    f"the {role} {column!r} of {self.table.name} {problem}",
                    fix="fill the gaps, pass a part without gaps, or allow more with fill=",
                )

    def input(self, column: str, parts: Sequence[Rows]) -> tuple[list[Values], str]:
        """The numbers of an input column in each of these parts, or why it is left out.

        Raises:
            InputError: the column holds dates that are out of order.
        """
        cells = self.table.cells[column]
        if not column:
            return [], "give it a name to use it"
        values, missing = self.found.read(column), missing_cells(cells)
        if missing.all() or np.isnan(values[~missing]).any():
            for rows in parts:
                _check_order(self.table, column, _present([rows]))
            return [], "it holds dates" if is_dates([cell.strip() for cell in cells]) else "it does not hold numbers"
        bad = np.abs(values) > LARGEST
        if bad[_present(parts)].any():
            return [], f"{int(bad.sum())} cells are infinite, the first in row {int(np.argmax(bad)) + 1}"
        if problem := next(filter(None, (self._too_empty(missing, rows) for rows in parts)), ""):
            return [], f"it {problem}"
        found = self._filled(column, INPUT, parts)
        return found, _monotonic([np.diff(part) for part in found])

    def _too_empty(self, missing: Flags, rows: Rows) -> str:
        empty = missing[rows] | (rows < 0)
        if empty.sum() <= self.fill * len(rows):
            return ""
        first = int(rows[np.argmax(missing[rows] & (rows >= 0))]) + 1
        lacking = f"lacks {int(empty.sum()):,} of {len(rows):,} values, the first in row {first} below the header"
        return f"{lacking}; at most {100 * self.fill:g} % are filled"

    def _filled(self, column: str, role: str, parts: Sequence[Rows]) -> list[Values]:
        values, missing = self.found.read(column), missing_cells(self.found.columns[column])
        binary = set(values[~np.isnan(values)]) <= {0.0, 1.0}
        line = role == TARGET or (role == KNOWN and not binary)
        self.note_gaps(column, parts, missing, "straight lines" if line else "the value before")
        return [filled(np.where(rows < 0, np.nan, values[rows]), line=line) for rows in parts]

    def note_gaps(self, column: str, parts: Sequence[Rows], empty: Flags, how: str) -> None:
        """Note the empty cells of a column in these parts, if there are any."""
        rows = np.unique(_present(parts))
        rows = rows[empty[rows]]
        if len(rows):
            what = f"{counted(len(rows), 'empty cell')} of {column!r} {'is' if len(rows) == 1 else 'are'} filled by"
            self.notes.append(f"{what} {how}, the first in row {rows[0] + 1} below the header")


def left_out(column: str, why: str) -> str:
    """A note of a column that is no input."""
    return f"column {column!r} was left out: {why}" if column else f"the column without a name was left out: {why}"


def _present(parts: Sequence[Rows]) -> Rows:
    """The rows of the table in these parts."""
    rows = np.concatenate(parts)
    return rows[rows >= 0]


def _bad_cell(found: Numbers, column: str, role: str, bad: Flags, what: str, fix: str) -> InputError:
    row, count = int(np.argmax(bad)), int(bad.sum())
    cell = found.columns[column][row].strip()
    must = "hold a value" if what == EMPTY else "be a finite number"
    held = f" holds {cell[:40]!r}, which {what}" if cell else f" {what}"
    return InputError(
        "SERIES_VALUE",
        f"the {role} {column!r} of {found.title} must {must} in every row, but row {row + 1} "
        f"below the header{held} ({count} of {len(bad)} rows are like this)",
        fix=fix,
    )


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
