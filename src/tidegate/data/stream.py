"""Rows of a large table, which is never read as a whole: its first megabytes say how, and all others must fit."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from tidegate.data.block import blocks
from tidegate.data.column import counted
from tidegate.data.row import LONGEST_CELL, QUOTED, Row, Rows, read_rows, unquoted
from tidegate.data.source import Source
from tidegate.data.table import check_header, check_row
from tidegate.data.text import ended_lines
from tidegate.errors import InputError

TRIED = 1000  # line ends that may lie inside a quoted cell at the end of the first megabytes


@dataclass
class Stream:
    """The rows below the header of a table.

    Attributes:
        source: the file.
        head: its first rows, which say how it is read.
        quoted: whether these have quotes.
        header: the names of the columns.
        notes: what was left out; complete after the last row.
    """

    source: Source
    head: Rows
    quoted: bool
    header: list[str]
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, source: Source, separator: str | None) -> Stream:
        """The table in a source.

        Raises:
            InputError: as ``read_table`` for the first megabytes.
        """
        raw = _whole_rows(next(blocks(source, (0, source.size))))
        head = read_rows(replace(source, raw=raw, large=0, valid=None, test=None), separator)
        if head.error:
            raise InputError(
                "SERIES_CSV", f"{source.title} is not a CSV file: {head.error}", fix="check the quotes on that line"
            )
        header = [name.strip() for name in head.header.cells[: head.width]]
        check_header(source, header)
        return cls(source, head, b'"' in raw, header)

    def rows(self) -> Iterator[Row]:
        """The rows below the header, each with a cell for every column.

        Raises:
            InputError: a row does not fit the header, or has quotes that the first megabytes do not explain.
        """
        lone = self.head.width == 1  # then a blank line is a missing cell
        blank, waiting, first = 0, list[Row](), 0
        for row in self._parsed():
            if row.blank:
                waiting.append(row)
                continue
            for held in waiting:
                if held.cells or lone:
                    yield self._checked(held if held.cells else Row(held.line, [""]))
                else:
                    blank, first = blank + 1, first or held.line
            waiting.clear()
            yield self._checked(row)
        if blank:
            self.notes.append(f"left out {counted(blank, 'blank line')}, the first is line {first}")
        if any(row.cells for row in waiting):
            end = f"left out {counted(len(waiting), 'empty row')} at the end, from line {waiting[0].line} on"
            self.notes.append(end)
        self.notes += [note for note in self.head.notes if note not in self.notes]

    def _checked(self, row: Row) -> Row:
        check_row(self.source, row, self.head)
        return Row(row.line, row.cells[: self.head.width])

    def _parsed(self) -> Iterator[Row]:
        """All rows below the header, as they are written."""
        lines, above = ended_lines(self.source), self.head.header.line
        if self.head.quotes == "spaced" or (self.head.quotes == "csv" and (self.quoted or self.head.separator != "\t")):
            yield from _by_csv(self.source, lines, self.head)
            return
        for number, line in enumerate(islice(lines, above, None), above + 1):
            text = line.rstrip("\r\n")
            yield Row(number, self._cells(number, text) if text else [])

    def _cells(self, number: int, line: str) -> list[str]:
        cells = line.split(self.head.separator)
        if '"' not in line or self.head.quotes == "text":
            return cells
        if self.head.quotes == "line" and all('"' not in cell or QUOTED.fullmatch(cell) for cell in cells):
            return [unquoted(cell) for cell in cells]
        raise InputError(
            "TABLE_QUOTES",
            f"the quotes in line {number} of {self.source.title} are unlike those in its first megabytes, which say "
            "whether quotes enclose cells or are part of the text",
            fix="write the file as JSON lines, or quote its cells as CSV does and separate them by commas",
        )


def _whole_rows(raw: bytes) -> bytes:
    """The bytes without a last row that is not complete: one inside quotes goes on in the next block."""
    end, quotes = len(raw), raw.count(b'"')
    for _ in range(TRIED):
        if quotes % 2 == 0 or end <= 0:
            break
        before = raw.rfind(b"\n", 0, end - 1) + 1
        quotes, end = quotes - raw.count(b'"', before, end), before
    return raw[:end] if end > 0 and quotes % 2 == 0 else raw


def _by_csv(source: Source, lines: Iterator[str], head: Rows) -> Iterator[Row]:
    above = head.header.line
    for _ in range(above - 1):
        next(lines)
    reader = csv.reader(lines, delimiter=head.separator, strict=True, skipinitialspace=head.quotes == "spaced")
    before = csv.field_size_limit(LONGEST_CELL)  # of the whole process
    try:
        begin = above
        for cells in reader:
            if begin > above:
                yield Row(begin, cells)
            begin = reader.line_num + above
    except csv.Error as error:
        raise InputError(
            "SERIES_CSV",
            f"{source.title} is not a CSV file: {error} at line {reader.line_num + above - 1}",
            fix="check the quotes on that line",
        ) from None
    finally:
        csv.field_size_limit(before)
