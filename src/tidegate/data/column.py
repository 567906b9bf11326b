"""Columns by name: the check that a table has one, and lists of names for errors."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.errors import InputError, did_you_mean

LISTED = 30
LONGEST = 80  # characters of a name


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Names in quotes for a message, at most ``most`` of them.

    Examples:
        >>> listed(["text", "label"])
        "'text', 'label'"
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name[:LONGEST]) for name in names[:most]) + more


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
