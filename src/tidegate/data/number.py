"""Numbers as people write them: which mark is the decimal one, and which groups thousands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tidegate.errors import InputError

Decimal = Literal[",", "."]

MISSING = frozenset({"", "-", "na", "n/a", "#n/a", "nan", "-nan", "nat", "null", "none", "?"})
# as spreadsheets write them in English, German, French, Spanish and Italian
YES_NO = (
    ("true", "false"),
    ("yes", "no"),
    ("wahr", "falsch"),
    ("vrai", "faux"),
    ("verdadero", "falso"),
    ("vero", "falso"),
)
MARKS: tuple[Decimal, Decimal] = (".", ",")
OTHER: dict[Decimal, Decimal] = {".": ",", ",": "."}
GROUPED = {mark: re.compile(rf"\s*[+-]?[1-9]\d{{0,2}}(?:[{OTHER[mark]}]\d{{3}})+(?:[{mark}]\d*)?\s*") for mark in MARKS}
WHOLE = re.compile(r"[1-9]\d*")

Floats = NDArray[np.float64]


def numbers(cells: Sequence[str], decimal: Decimal = ".") -> Floats:
    """The cells as numbers; NaN where a cell is not a number.

    Args:
        cells: the text of each.
        decimal: the decimal mark; the other of comma and point may group thousands.

    Examples:
        >>> numbers(["1.5", "1,234.5", "51,13"]).tolist()
        [1.5, 1234.5, nan]
        >>> numbers(["1.5", "1.234,5", "51,13"], ",").tolist()
        [nan, 1234.5, 51.13]
    """
    plain = cells if decimal == "." and not any("," in cell for cell in cells) else [_plain(c, decimal) for c in cells]
    return np.asarray(pd.to_numeric(pd.Series(plain, dtype=object), errors="coerce"), dtype=np.float64)


def _plain(cell: str, decimal: Decimal) -> str:
    """The number as Python writes it."""
    other = OTHER[decimal]
    if other in cell:
        cell = cell.replace(other, "") if GROUPED[decimal].fullmatch(cell) else "no number"
    return cell.replace(decimal, ".")


class _Marks(NamedTuple):
    """What the cells of one column say about the decimal mark."""

    possible: tuple[Decimal, ...]  # those with which every cell is a number
    likely: Decimal  # the one with which most cells are
    example: str  # a cell with a comma or a point; empty if none has one
    used: tuple[Decimal, ...]  # the commas and points that occur
    whole: str  # a cell of up to three digits without any, where no cell without has more; empty if there is none

    @property
    def decided(self) -> bool:
        return bool(self.example) and len(self.possible) == 1


def _marks(cells: Sequence[str]) -> _Marks:
    distinct = [cell for cell in dict.fromkeys(cell.strip() for cell in cells) if cell.casefold() not in MISSING]
    marked = [cell for cell in distinct if "." in cell or "," in cell]
    valid = {mark: int((~np.isnan(numbers(marked, mark))).sum()) for mark in MARKS}
    wholes = [cell.lstrip("+-") for cell in distinct if WHOLE.fullmatch(cell.lstrip("+-"))]
    return _Marks(
        possible=tuple(mark for mark in MARKS if valid[mark] == len(marked)),
        likely=max(MARKS, key=valid.__getitem__),
        example=marked[0] if marked else "",
        used=tuple(mark for mark in MARKS if any(mark in cell for cell in marked)),
        whole=max(wholes, key=int) if wholes and max(map(len, wholes)) <= 3 else "",
    )


@dataclass(frozen=True)
class Numbers:
    """The numbers of a table, whose decimal mark all rows decide together.

    A cell such as ``1.497`` can be read in two ways. The other cells of its column decide, then the other columns, then
    the reading that a trained model has learnt. Where nothing decides, the user is asked.

    Attributes:
        title: of the table, for errors.
        columns: the cells of each column that may hold numbers.
        separator: of the table; where it is a comma, a point is the usual decimal mark.
        decimal: the decimal mark that the user named.
        learnt: the decimal mark of the training data.
    """

    title: str
    columns: Mapping[str, Sequence[str]]
    separator: str = ","
    decimal: Decimal | None = None
    learnt: Decimal | None = None

    def read(self, column: str) -> Floats:
        """The numbers of a column; NaN where a cell is not a number. Where all cells say yes or no, those are 1 and 0.

        Raises:
            InputError: they can be read in two ways.
        """
        cells = [cell.strip().casefold() for cell in self.columns[column]]
        if words := self.yes_no(column):
            return np.array([{words[0]: 1.0, words[1]: 0.0}.get(cell, np.nan) for cell in cells])
        return numbers(cells, self._reading(column)[0])

    def yes_no(self, column: str) -> tuple[str, str] | None:
        """The words for yes and no, if a column holds nothing else."""
        words = {cell.strip().casefold() for cell in self.columns[column]} - MISSING
        return next(((yes, no) for yes, no in YES_NO if words and words <= {yes, no}), None)

    def notes(self, columns: Sequence[str]) -> tuple[str, ...]:
        """For each of these columns that can be read in two ways, which was taken and why."""
        return tuple(note for note in (self._reading(column)[1] for column in columns) if note)

    def mark(self, columns: Sequence[str]) -> Decimal | None:
        """The decimal mark of the first of these columns whose numbers show one."""
        return next((self._reading(column)[0] for column in columns if self._found[column].example), None)

    @cached_property
    def _found(self) -> dict[str, _Marks]:
        return {name: _marks(cells) for name, cells in self.columns.items()}

    @cached_property
    def _decided(self) -> set[Decimal]:
        return {marks.likely for marks in self._found.values() if marks.decided}

    def _reading(self, column: str) -> tuple[Decimal, str]:
        """The decimal mark of a column, and a note if it was chosen between two."""
        if self.decimal is not None:
            return self.decimal, ""
        marks = self._found[column]
        if not marks.example or len(marks.possible) < 2:
            return marks.likely, ""
        if len(self._decided) == 1:
            (mark,) = self._decided
            return mark, self._note(column, mark, "as the other columns have it")
        if self.learnt is not None:
            return self.learnt, ""
        return self._of_thousands(column, marks)

    def _of_thousands(self, column: str, marks: _Marks) -> tuple[Decimal, str]:
        """The reading of a column whose numbers all have one mark with three digits after it."""
        usual = self.separator == "," and marks.used == (".",)
        if marks.whole and len(marks.used) == 1 and not usual:
            why = f"since {marks.example!r} and {marks.whole!r} are in one column"
            return OTHER[marks.used[0]], self._note(column, OTHER[marks.used[0]], why)
        if usual and not marks.whole:
            return ".", ""
        raise self._question(column, marks)

    def _question(self, column: str, marks: _Marks) -> InputError:
        row = [cell.strip() for cell in self.columns[column]].index(marks.example) + 1
        beside = f" beside {marks.whole!r}" if marks.whole else ""
        return InputError(
            "SERIES_DECIMAL",
            f"{marks.example!r}{beside} in the column {column!r} of {self.title} can be read in two ways, as "
            f"{_both(marks.example)} (row {row} below the header)",
            fix="say with decimal= whether ',' or '.' is the decimal mark",
        )

    def _note(self, column: str, mark: Decimal, why: str) -> str:
        example = self._found[column].example
        return f"{example!r} in {column!r} is read as {_value(example, mark)}, {why} (decimal='{mark}')"


def _value(cell: str, mark: Decimal) -> str:
    return f"{numbers([cell], mark)[0]:.15g}"


def _both(cell: str) -> str:
    return " or ".join(_value(cell, mark) for mark in MARKS)
