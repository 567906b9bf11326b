"""CSV files as cells of text; each row is checked against the header."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.data.source import Source
from tidegate.data.text import decode
from tidegate.errors import InputError

SEPARATORS = ",;\t"
LONGEST_CELL = (1 << 31) - 1  # characters; Python's own limit is 131,072


@dataclass(frozen=True)
class Table:
    """The cells of a CSV file as text; row 1 is the first below the header."""

    name: str
    header: list[str]
    cells: dict[str, list[str]]


def numbers(cells: list[str]) -> NDArray[np.float64]:
    """The cells as numbers; NaN where a cell is not a number."""
    return np.asarray(pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce"), dtype=np.float64)


def read_table(source: Source) -> Table:
    """Read a file separated by commas, semicolons or tabs, whose first line names the columns.

    Raises:
        InputError: the file is not CSV, has no rows, or has a row that does not fit the header.
    """
    text = decode(source).rstrip("\r\n")
    first = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(SEPARATORS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    before = csv.field_size_limit(LONGEST_CELL)  # of the whole process
    try:
        header = [name.strip() for name in next(row for row in reader if row)]
        _check_header(source, header)
        rows = [_checked(source, row, header, reader.line_num) for row in reader]
    except csv.Error as error:
        raise InputError(
            "SERIES_CSV",
            f"{source.title} is not a CSV file: {error} at line {reader.line_num}",
            fix="check the quotes on that line",
        ) from None
    finally:
        csv.field_size_limit(before)
    if not rows:
        raise InputError(
            "SERIES_EMPTY",
            f"{source.title} has a header ({', '.join(header)}) but no rows",
            fix="add the rows below it",
        )
    columns = zip(*rows, strict=True)
    return Table(source.title, header, {name: list(cells) for name, cells in zip(header, columns, strict=True)})


def _check_header(source: Source, header: list[str]) -> None:
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise InputError(
            "SERIES_HEADER",
            f"{source.title} names the column {repeated[0]!r} more than once in its first line",
            fix="give every column a name of its own" + header_of_numbers(header),
        )


def _checked(source: Source, row: list[str], header: list[str], line: int) -> list[str]:
    row = row or [""]  # csv reads a blank line as no cells; in a table of one column it is a missing cell
    if len(row) != len(header):
        raise InputError(
            "SERIES_ROW",
            f"line {line} of {source.title} has {len(row)} cells, but the first line names {len(header)} columns",
            fix="correct that line, and quote cells that contain the separator",
        )
    return row


def header_of_numbers(header: list[str]) -> str:
    """A hint for an error about the header, if the first line looks like data."""
    return "" if np.isnan(numbers(header)).all() else "; the first line must name the columns, but it holds numbers"
