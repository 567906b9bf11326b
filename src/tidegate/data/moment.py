"""Times in several columns, such as a date and an hour, as one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tidegate.data.column import check_column, in_text, several
from tidegate.data.date import CLOCK, YEARS, split
from tidegate.data.number import numbers
from tidegate.data.table import Table
from tidegate.errors import InputError

PARTS = {
    "year": (YEARS.start, YEARS.stop - 1),
    "month": (1, 12),
    "day": (1, 31),
    "hour": (0, 24),
    "minute": (0, 59),
    "second": (0, 59),
}
FORM = ("{:04}", "-{:02}", "-{:02}", " {:02}", ":{:02}", ":{:02}")
HOURS = 24  # of a day, whose end may be called 24:00


def with_times(table: Table, time: str | None) -> tuple[Table, str | None]:
    """The table with one column for times that stand in several, and the name of that column.

    Two columns are a date and a time of day: hours from 0 to 23 or 1 to 24, numbers such as 1330, texts such as 13:30.
    Columns of whole numbers alone are year, month, day, hour, minute and second, as far as there are columns.

    Args:
        table: the cells.
        time: the columns as the user named them; None for none.

    Raises:
        InputError: a column is missing or named twice, or holds what is no part of a time.
    """
    names = several(time, table.header) if time is not None else ()
    for name in names:
        check_column(table.name, name, table.header, fix="name another with time=")
    if len(names) < 2:
        return table, names[0] if names else None
    if len(set(names)) < len(names):
        raise InputError("SERIES_TWICE", f"time={time!r} names a column twice", fix="name each column once")
    joined, column = _joined(table, names), in_text(names)
    cells = {name: cells for name, cells in table.cells.items() if name not in names}
    return replace(table, header=[*cells, column], cells={**cells, column: joined}), column


def _joined(table: Table, names: Sequence[str]) -> list[str]:
    columns = [[cell.strip() for cell in table.cells[name]] for name in names]
    years = _wholes(columns[0])
    if len(names) > 2 or (years is not None and years.min() >= YEARS.start and years.max() < YEARS.stop):
        return _of_parts(table, names, columns)
    clocks = _clocks(table, names[1], columns[1])
    return [f"{day} {clock}" for day, clock in zip(_days(columns[0]), clocks, strict=True)]


def _of_parts(table: Table, names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """Times from columns of whole numbers: year, month, day, hour, minute and second."""
    if len(names) > len(PARTS):
        raise InputError(
            "SERIES_TIME",
            f"time= names {len(names)} columns, but times have at most {len(PARTS)}: {', '.join(PARTS)}",
            fix="name them in this order, or one column of dates",
        )
    wholes = [_part(table, name, cells, part) for name, cells, part in zip(names, columns, PARTS, strict=False)]
    form = "".join(FORM[: len(names)]) + (":00" if len(names) == 4 else "")
    return [form.format(*row) for row in zip(*wholes, strict=True)]


def _part(table: Table, name: str, cells: Sequence[str], part: str) -> list[int]:
    low, high = PARTS[part]
    values = numbers(cells)
    good = (values >= low) & (values <= high) & (values == np.round(values))
    if not good.all():
        raise _wrong(table, name, cells, int(np.argmin(good)), f"the {part}, a whole number from {low} to {high}")
    return [int(value) for value in values]


def _wrong(table: Table, name: str, cells: Sequence[str], row: int, wanted: str) -> InputError:
    return InputError(
        "SERIES_TIME",
        f"the column {name!r} of {table.name} (time=) must hold {wanted}, but row {row + 1} below the header holds "
        f"{cells[row][:40]!r}",
        fix="name a date and a time of day, or year, month, day, hour, minute and second in this order",
    )


def _wholes(cells: Sequence[str]) -> NDArray[np.float64] | None:
    """The cells as whole numbers, if all are."""
    values = numbers(cells)
    return values if (values == np.round(values)).all() else None


def _days(cells: Sequence[str]) -> Sequence[str]:
    """Dates, without a time of day if that is midnight in every row, as spreadsheets write it."""
    stamps = split(cells)
    return cells if stamps.clocks.any() or any(offset is not None for offset in stamps.offsets) else stamps.dates


def _clocks(table: Table, name: str, cells: Sequence[str]) -> Sequence[str]:
    """Times of day: texts as they are, hours from 0 to 24 and numbers such as 1330 with a colon."""
    values, wanted = _wholes(cells), "the time of day in every row, such as 13, 1330 or 13:30"
    if values is None:
        odd = [not CLOCK.fullmatch(cell) for cell in cells]
        odd = odd if any(odd) else [cell.isdigit() for cell in cells]
        if any(odd):
            raise _wrong(table, name, cells, odd.index(True), wanted)
        return cells
    hours, minutes = divmod(values, 100) if values.max() >= 100 else (values, 0 * values)
    good = (hours >= 0) & (hours <= HOURS) & (minutes < 60)
    if not good.all():
        raise _wrong(table, name, cells, int(np.argmin(good)), wanted)
    return [f"{int(hour):02}:{int(minute):02}" for hour, minute in zip(hours, minutes, strict=True)]
