"""Columns by name: the check that a table has one, and lists of names for errors."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tidegate.errors import InputError, did_you_mean

LISTED = 30
LONGEST = 80  # characters of a name
MOST_CHARACTERS = 600  # of all names


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Names in quotes for a message, at most ``most`` of them, and no more than one can read.

    Examples:
        >>> listed(["text", "label"])
        "'text', 'label'"
    """
    shown = [repr(name[:LONGEST]) for name in names[:most]]
    while sum(map(len, shown)) > MOST_CHARACTERS:
        shown.pop()
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


KINDS = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
KINDS |= {bytes: "bytes", np.ndarray: "a list"}


def absent(value: Any) -> bool:
    """Whether a cell of JSON or Parquet holds nothing."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)  # noqa: PLR0124


def described(value: Any) -> str:
    """A cell of JSON or Parquet for a message: what it is, and its beginning.

    Examples:
        >>> described([1, 2]), described(""), described("a")
        ('a list: [1, 2]', 'empty', "a text: 'a'")
    """
    if (absent(value) and not isinstance(value, float)) or (isinstance(value, str) and not value.strip()):
        return "empty"
    shown = repr(value.tolist() if isinstance(value, np.ndarray) else value)[:40]
    kind = next((name for kind, name in KINDS.items() if type(value) is kind), "")
    return f"{kind}: {shown}" if kind else shown


def counted(count: int, noun: str) -> str:
    """A number of things.

    Examples:
        >>> counted(1, "row"), counted(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def check_column(title: str, name: str, header: Sequence[str], *, fix: str, reader: str = "") -> None:
    """Refuse the name of a column that a table lacks.

    Args:
        title: the table, for the error.
        name: the column.
        header: the columns that the table has.
        fix: what the caller can do; the columns are listed after it.
        reader: what needs the column, if the caller did not name it.

    Raises:
        InputError: the header lacks the name.
    """
    if name not in header:
        needed = f", which {reader} needs" if reader else ""
        raise InputError(
            "COLUMN",
            f"{title} has no column {name!r}{needed}{did_you_mean(name, header)}",
            fix=f"{fix}; it has the columns {listed(header)}",
        )


def several(text: str, header: Sequence[str]) -> tuple[str, ...]:
    """The columns that a text names: one of the table, or several with commas between them.

    A name with a comma stands in quotes beside others, as in CSV.

    Examples:
        >>> several("load, kW", ["load, kW"])
        ('load, kW',)
        >>> several('"load, kW",price', ["load, kW", "price"])
        ('load, kW', 'price')
    """
    if text in header or not text.isprintable():
        return (text,)
    return tuple(name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row) or (text,)


def in_text(names: Sequence[str]) -> str:
    """Names of columns as one text, which ``several`` reads.

    Examples:
        >>> in_text(["load, kW"]), in_text(["load, kW", "price"])
        ('load, kW', '"load, kW",price')
    """
    if len(names) == 1:
        return names[0]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
