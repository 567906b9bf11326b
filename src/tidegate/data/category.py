"""Columns of texts as inputs: one of 0 and 1 for each text that training has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.data.date import is_dates
from tidegate.data.number import MARKS, MISSING, YES_NO, numbers

MOST = 32  # texts of a column, each of which becomes an input
WORDS = {word for pair in YES_NO for word in pair}

Values = NDArray[np.float64]
Rows = NDArray[np.intp]


def categories_of(cells: Sequence[str]) -> tuple[str, ...]:
    """The different texts of a column, sorted; none where cells hold numbers or dates, or mix words for yes and no.

    Where cells are empty, so is the first of the texts: no text is a value, too, as in a column of holidays.

    Examples:
        >>> categories_of(["b", "a ", "a"]), categories_of(["", "Easter"]), categories_of(["1", "a"])
        (('a', 'b'), ('', 'Easter'), ())
    """
    held = {cell.strip() for cell in cells}
    texts = sorted(text for text in held if text.casefold() not in MISSING)
    if not texts or {text.casefold() for text in texts} <= WORDS:
        return ()
    if any(not np.isnan(numbers(texts, mark)).all() for mark in MARKS) or is_dates(texts):
        return ()
    return (*([""] if len(texts) < len(held) else []), *texts)


def one_hot(column: str, cells: Sequence[str], categories: Collection[str]) -> dict[str, Values]:
    """An input for each text, 1 in the rows that hold it; NaN in empty rows, unless training has such."""
    held = np.array([cell.strip() for cell in cells])
    empty = np.array([text.casefold() in MISSING for text in held])
    gap = np.nan if "" not in categories else 0.0
    return {named(column, text): np.where(empty, gap, (held == text).astype(np.float64)) for text in categories if text}


def named(column: str, category: str) -> str:
    """The name of the input for one text of a column."""
    return f"{column}={category}"


def columns_of(inputs: Sequence[str], categories: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The columns of a table that these inputs come from."""
    origin = {named(column, text): column for column, texts in categories.items() for text in texts if text}
    return tuple(dict.fromkeys(origin.get(name, name) for name in inputs))


def texts_of(inputs: Mapping[str, Values], column: str, categories: Sequence[str]) -> list[str]:
    """[rows] the text that each row of a column held; empty where it held none of the categories."""
    texts = [text for text in categories if text]
    held = np.stack([inputs[named(column, text)] for text in texts])
    return [texts[at] if held[at, row] else "" for row, at in enumerate(held.argmax(0))]


def unknown(cells: Sequence[str], rows: Rows, categories: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each text in these rows that is no category, with its first row and how many have it."""
    found: dict[str, list[int]] = {}
    for row in rows.tolist():
        text = cells[row].strip()
        if text not in categories and text.casefold() not in MISSING:
            found.setdefault(text, []).append(row)
    return ((text, held[0], len(held)) for text, held in found.items())
