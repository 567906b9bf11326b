"""The columns that a panel holds: the target of each series, the inputs beside it, and what is known ahead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tidegate.data.category import MOST, categories_of, named, one_hot, unknown
from tidegate.data.column import counted, listed
from tidegate.data.feature import (
    INPUT,
    KNOWN,
    TARGET,
    ColumnReader,
    Rows,
    Values,
    check_varies,
    left_out,
    missing_cells,
)
from tidegate.data.gap import filled
from tidegate.data.series import Series
from tidegate.errors import InputError


@dataclass(frozen=True)
class Covariates:
    """The columns of all series, one series after another.

    Attributes:
        target: [rows] the target of each series; NaN in the future, as the inputs.
        inputs: [rows] what is known up to the present row, by name.
        known: [rows] what is known ahead, by name.
        numbers: the columns of the table that were read as numbers.
        categories: the texts of the others.
        notes: what was left out, and which texts became inputs.
    """

    target: Values
    inputs: dict[str, Values] = field(default_factory=dict)
    known: dict[str, Values] = field(default_factory=dict)
    numbers: list[str] = field(default_factory=list)
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_covariates(
    reader: ColumnReader,
    series: Sequence[Series],
    known: Sequence[str],
    inputs: Sequence[str],
    learnt: Mapping[str, tuple[str, ...]] | None,
    *,
    choosing: bool,
) -> Covariates:
    """Read all columns of a panel.

    Args:
        reader: of the columns of the table.
        series: the rows of each series.
        known: the columns known ahead.
        inputs: the other columns.
        learnt: the texts of each column that a trained model knows; found in the rows unless given.
        choosing: whether an input that cannot be read is left out with a note.

    Raises:
        InputError: a column cannot be read, has too many gaps or too many different texts.
    """
    read = _Columns(reader, series, learnt, Covariates(_targets(reader, series, varies=learnt is None)))
    for one in dict.fromkeys(one.target for one in series):
        read.result.numbers.append(one)
    for column in inputs:
        read.result.inputs.update(read.one(column, INPUT, [one.past for one in series], choosing=choosing))
    for column in known:
        read.result.known.update(read.one(column, KNOWN, [one.rows for one in series], choosing=False))
    return read.result


def _targets(reader: ColumnReader, series: Sequence[Series], *, varies: bool) -> Values:
    parts: list[Values] = [np.empty(0)] * len(series)
    for target in dict.fromkeys(one.target for one in series):
        own = [at for at, one in enumerate(series) if one.target == target]
        values = reader.complete(target, TARGET, [series[at].past for at in own])
        if varies:
            check_varies(np.concatenate(values), target)
        for at, part in zip(own, values, strict=True):
            parts[at] = part
    return _padded(parts, series)


def _padded(parts: Sequence[Values], series: Sequence[Series]) -> Values:
    """The parts one after another, with NaN in the future."""
    pairs = zip(parts, series, strict=True)
    return np.concatenate([np.pad(part, (0, len(one.rows) - len(part)), constant_values=np.nan) for part, one in pairs])


@dataclass(frozen=True)
class _Columns:
    reader: ColumnReader
    series: Sequence[Series]
    learnt: Mapping[str, tuple[str, ...]] | None
    result: Covariates

    def one(self, column: str, role: str, parts: Sequence[Rows], *, choosing: bool) -> dict[str, Values]:
        """The inputs that a column becomes: one, or one for each of its texts."""
        texts = categories_of(self.reader.table.cells[column]) if self.learnt is None else self.learnt.get(column, ())
        if len(texts) > MOST and not choosing:
            raise InputError(
                "SERIES_CATEGORIES",
                f"the {role} {column!r} of {self.reader.table.name} holds {len(texts):,} different texts, but at most "
                f"{MOST} become inputs: {listed(texts, 3)}",
                fix="put rare ones together, write numbers, or leave it out",
            )
        if len(texts) > MOST:
            return self._without(column, f"it holds {len(texts):,} different texts, and at most {MOST} become inputs")
        if texts:
            self.result.categories[column] = texts
            return self._texts(column, role, texts, parts)
        if not choosing:
            values = self.reader.complete(column, role, parts)
        else:
            values, problem = self.reader.input(column, parts)
            if problem:
                return self._without(column, problem)
        self.result.numbers.append(column)
        return {column: _padded(values, self.series)}

    def _without(self, column: str, why: str) -> dict[str, Values]:
        self.result.notes.append(left_out(column, why))
        return {}

    def _texts(self, column: str, role: str, texts: Sequence[str], parts: Sequence[Rows]) -> dict[str, Values]:
        cells = self.reader.table.cells[column]
        clash = [name for text in texts if (name := named(column, text)) in self.reader.table.header]
        if clash:
            raise InputError(
                "SERIES_CATEGORIES",
                f"the input for a text of {column!r} is called as the column {clash[0]!r}",
                fix="rename that column",
            )
        self.result.notes.extend(self._said(column, texts, parts))
        empty = missing_cells(cells) & ("" not in texts)
        self.reader.check_gaps(column, role, parts, empty=empty)
        self.reader.note_gaps(column, parts, empty, "the value before")
        found = {}
        for name, values in one_hot(column, cells, texts).items():
            held = [filled(np.where(rows < 0, np.nan, values[rows]), line=False) for rows in parts]
            found[name] = _padded(held, self.series)
        return found

    def _said(self, column: str, texts: Sequence[str], parts: Sequence[Rows]) -> Iterator[str]:
        if self.learnt is None:
            some = [text for text in texts if text]
            none = "" if len(some) == len(texts) else "; empty cells are none of them"
            yield f"{column!r} is read as {counted(len(some), 'input')} of 0 and 1: {listed(some, 5)}{none}"
        cells = self.reader.table.cells[column]
        rows = np.unique(np.concatenate(parts))
        for text, first, count in unknown(cells, rows[rows >= 0], texts):
            yield (
                f"{column!r} holds {text!r}, which training did not have, in {counted(count, 'row')}, the first is row "
                f"{first + 1} below the header; it is read as none of the texts of training"
            )
