"""Columns of texts as inputs: one of 0 and 1 for each text that training has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tidegate.data.date import is_dates
from tidegate.data.number import MARKS, MISSING, YES_NO, numbers

MOST = 32  # texts of a column, each of which becomes an input
WORDS = {word for pair in YES_NO for word in pair}

Values = NDArray[np.float64]
Rows = NDArray[np.intp]


def categories_of(cells: Sequence[str]) -> tuple[str, ...]:
    """The different texts of a column, sorted; none where cells hold numbers or dates, or mix words for yes and no."""
    texts = sorted({cell.strip() for cell in cells if cell.strip().casefold() not in MISSING})
    if not texts or {text.casefold() for text in texts} <= WORDS:
        return ()
    if any(not np.isnan(numbers(texts, mark)).all() for mark in MARKS) or is_dates(texts):
        return ()
    return tuple(texts)


def one_hot(column: str, cells: Sequence[str], categories: Iterable[str]) -> dict[str, Values]:
    """An input for each category, 1 in the rows that hold it."""
    held = np.array([cell.strip() for cell in cells])
    return {named(column, category): (held == category).astype(np.float64) for category in categories}


def named(column: str, category: str) -> str:
    """The name of the input for one text of a column."""
    return f"{column}={category}"


def columns_of(inputs: Sequence[str], categories: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The columns of a table that these inputs come from."""
    origin = {named(column, category): column for column, texts in categories.items() for category in texts}
    return tuple(dict.fromkeys(origin.get(name, name) for name in inputs))


def texts_of(inputs: Mapping[str, Values], column: str, categories: Sequence[str]) -> list[str]:
    """[rows] the text that each row of a column held; empty where it held none of the categories."""
    held = np.stack([inputs[named(column, category)] for category in categories])
    return [categories[at] if held[at, row] else "" for row, at in enumerate(held.argmax(0))]


def unknown(cells: Sequence[str], rows: Rows, categories: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each text in these rows that is no category, with its first row and how many have it."""
    found: dict[str, list[int]] = {}
    for row in rows.tolist():
        text = cells[row].strip()
        if text not in categories and text.casefold() not in MISSING:
            found.setdefault(text, []).append(row)
    return ((text, held[0], len(held)) for text, held in found.items())
