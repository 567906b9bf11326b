"""Whom the rows of a table belong to, for training that protects all rows of one owner together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tidegate.data.column import absent, check_column
from tidegate.errors import InputError

FIX = "name one with protect=COLUMN, or protect each row by itself with protect='row'"


def owners_of(
    title: str, columns: Mapping[str, Sequence[Any]], name: str, place: Callable[[int], str]
) -> tuple[str, ...]:
    """Whom each row belongs to, from a column.

    Args:
        title: the table, for errors.
        columns: its cells.
        name: the column.
        place: where the row of an index is.

    Raises:
        InputError: there is no such column, or a cell of it is empty.
    """
    check_column(title, name, list(columns), fix=FIX)
    owners = tuple("" if absent(cell) else str(cell).strip() for cell in columns[name])
    if "" in owners:
        raise InputError(
            "PRIVATE_OWNER",
            f"{name!r} in {place(owners.index(''))} of {title} is empty, so it does not say whom the row belongs to",
            fix="fill it in, or give the row a value of its own",
        )
    return owners


def same_owner(title: str, owners: Mapping[str, Sequence[str]], column: str) -> tuple[str, ...]:
    """Whom each series belongs to, which all its rows must agree on.

    Args:
        title: the table, for errors.
        owners: of the rows of each series.
        column: that says so.

    Raises:
        InputError: the rows of a series belong to several.
    """
    for series, own in owners.items():
        other = next((owner for owner in own if owner != own[0]), None)
        if other is not None:
            raise InputError(
                "PRIVATE_OWNER",
                f"the series {series!r} of {title} belongs to {own[0]!r} and to {other!r}, by its column {column!r}",
                fix="name a column that is the same in all rows of a series",
            )
    return tuple(own[0] for own in owners.values())


def check_no_column(title: str, name: str | None, what: str) -> None:
    """Refuse a column where rows have none.

    Args:
        title: the data, for the error.
        name: the column; None if none is asked for.
        what: what the data are.

    Raises:
        InputError: a column is asked for.
    """
    if name is not None:
        raise InputError(
            "PRIVATE_COLUMN",
            f"protect={name!r} names a column, but {title} is {what}, whose rows have no columns",
            fix="pass a table with that column, or protect each row by itself with protect='row'",
        )
