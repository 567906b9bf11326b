"""Lines of a file as rows of cells: which separator, what quotes mean, and what stands above the header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from tidegate.data.column import counted
from tidegate.data.number import numbers
from tidegate.data.source import Source
from tidegate.data.text import decode, file_lines
from tidegate.errors import InputError

SEPARATORS = ("\t", ",", ";", "|")
NAMES = {"tab": "\t", "\\t": "\t"}
Quotes = Literal["csv", "spaced", "line", "text"]
LONGEST_CELL = (1 << 31) - 1  # characters; Python's own limit is 131,072
QUOTED = re.compile(r'"(?:[^"]|"")*"')
NEEDED = re.compile('""|,')  # a cell that holds it is quoted by every writer of CSV
EXCEL = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the first line that Excel reads, and does not show


class Row(NamedTuple):
    """The cells of one row, and the line in which it begins."""

    line: int
    cells: list[str]

    @property
    def blank(self) -> bool:
        """Whether no cell holds anything."""
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True)
class Rows:
    """The rows of a file, the first of which names the columns; blank lines are rows without cells.

    Attributes:
        separator: what stands between cells.
        quotes: what quotes are: those of CSV, also after blanks, around cells of a line, or text.
        width: the number of columns; cells right of them are empty.
        error: why reading ended early; empty if it did not.
        notes: what was left out, and what may have been meant otherwise.
    """

    separator: str
    rows: list[Row]
    error: str = ""
    notes: tuple[str, ...] = ()
    quotes: Quotes = "csv"

    @cached_property
    def header(self) -> Row:
        return next((row for row in self.rows if not row.blank), Row(1, []))

    @cached_property
    def width(self) -> int:
        """The columns up to the last one with a name, or all where cells below none hold something."""
        named = _named(self.header)
        return named if self._agreeing(named) == len(self.rows) else len(self.header.cells)

    @cached_property
    def agreeing(self) -> int:
        """How many rows have as many cells as the header."""
        return self._agreeing(self.width)

    @property
    def whole(self) -> bool:
        """Whether all rows have as many cells as the header, which are several."""
        return not self.error and len(self.header.cells) > 1 and self.agreeing == len(self.rows)

    def fits(self, row: Row) -> bool:
        """Whether a row has a cell for each column, and nothing right of them; blank lines fit any table."""
        return self._fits(row, self.width)

    def _agreeing(self, width: int) -> int:
        return sum(self._fits(row, width) for row in self.rows)

    def _fits(self, row: Row, width: int) -> bool:
        if len(row.cells) == width:
            return True
        if len(self.header.cells) == 1:  # a separator at the end of a line is part of the only cell
            return len(row.cells) < 2
        return not row.cells or (len(row.cells) >= width and not any(cell.strip() for cell in row.cells[width:]))


def _named(header: Row) -> int:
    return max((place for place, name in enumerate(header.cells, 1) if name.strip()), default=0)


def read_rows(source: Source, separator: str | None = None) -> Rows:
    r"""Read the rows of a file separated by commas, semicolons, tabs or bars.

    All rows decide the separator: it gives each of them as many cells as the header. A first line ``sep=;`` and first
    lines that begin with ``#`` are left out, with a note. Quotes are those of CSV, except where tabs separate cells.

    Args:
        source: the file.
        separator: what stands between cells, ``"tab"`` or ``"\t"`` for a tab; unless given, found from all rows.

    Raises:
        InputError: the file is not text, or two separators give a table.
    """
    first, text = _above(source)
    if separator is not None:
        rows = _parsed(text, checked(separator), len(first))
    else:
        named = next((match[1] for match in map(EXCEL.fullmatch, first[:1]) if match), None)
        rows = _parsed(text, named, len(first)) if named else _found(source, text, len(first))
    return _with_header(rows, first)


def checked(separator: str) -> str:
    """The character that a user named as the separator.

    Raises:
        InputError: it is none, or one that cannot separate cells.
    """
    mark = NAMES.get(separator, separator)
    if len(mark) != 1 or mark in '"\r\n' or mark.isalnum():
        raise InputError(
            "SEPARATOR",
            f"separator={separator!r:.40} is not a separator",
            fix="name one of , ; | or tab, or another mark",
        )
    return mark


def _above(source: Source) -> tuple[list[str], str]:
    """The lines above the table, and the rest of the text."""
    text = decode(source)
    first: list[str] = []
    while source.address != "memory":
        line, end, rest = _line(text)
        if not (end and (line.startswith("#") or not line.strip() or (not first and EXCEL.fullmatch(line.strip(" "))))):
            break
        first.append(line.strip(" "))
        text = rest
    return first, text


def _line(text: str) -> tuple[str, str, str]:
    """The first line, its end, and the rest."""
    match = re.search(r"\r\n|\r|\n", text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, "", "")


def _with_header(rows: Rows, first: list[str]) -> Rows:
    """The rows, below a line with ``#`` if that is what names the columns, and a note of the lines left out."""
    comments = [place for place, line in enumerate(first) if line.startswith("#")]
    if comments and comments[-1] == len(first) - 1:
        (header,) = csv.reader(first[-1:], delimiter=rows.separator)
        if 1 < len(header) == len(rows.header.cells) and _names(first[-1], rows.header):
            rows = replace(rows, rows=[Row(len(first), header), *rows.rows])
            comments.pop()
    notes = (
        [f"the first line {first[0]!r} names the separator and was left out"]
        if first and EXCEL.fullmatch(first[0])
        else []
    )
    if comments:
        notes.append(f"left out {counted(len(comments), 'first line')} with '#': {first[comments[0]]!r:.60}")
    return replace(rows, notes=(*notes, *rows.notes))


def _names(line: str, below: Row) -> bool:
    """Whether a line with ``#`` names the columns of the row below it, and is not a comment above their names."""
    return not line[1:2].isspace() or not np.isnan(numbers(below.cells)).all()


def _found(source: Source, text: str, offset: int) -> Rows:
    """The rows by the separator that all of them agree on, or else most."""
    readings = [_parsed(text, separator, offset) for separator in SEPARATORS if separator in text]
    several = [rows for rows in readings if len(rows.header.cells) > 1]
    whole = [rows for rows in several if rows.whole]
    if len(whole) > 1 and whole[0].separator != "\t":
        raise InputError(
            "SEPARATOR",
            f"{source.title} is a table by two separators, {shown(whole[0])} and {shown(whole[1])}",
            fix="say with separator= which it is",
        )
    if whole or several:
        return (whole or [max(several, key=lambda rows: rows.agreeing)])[0]
    _check_one_column(source, readings)
    nameless = [rows for rows in readings if rows.header.blank]
    return (nameless or [_parsed(text, ",", offset)])[0]


def _check_one_column(source: Source, readings: Sequence[Rows]) -> None:
    """Refuse a table below a line without separators."""
    for rows in readings:
        widths = {len(row.cells) for row in rows.rows[1:] if row.cells}
        if len(widths) == 1 and widths != {1} and not rows.error:
            raise InputError(
                "SEPARATOR",
                f"line {rows.header.line} of {source.title} names one column, {rows.header.cells[0]!r:.60}, but all "
                f"other lines have {widths.pop()} cells separated by {shown(rows)}",
                fix="begin the file with the names of the columns, or say with separator= what separates cells",
            )


def shown(rows: Rows) -> str:
    """The separator, for messages."""
    return "a tab" if rows.separator == "\t" else repr(rows.separator)


def _parsed(text: str, separator: str, offset: int) -> Rows:
    """The rows by this separator; ``offset`` lines stand above."""
    if separator != "\t" or '"' not in text:
        return _by_csv(text, separator, offset)
    tabbed = by_line(text, separator, offset)
    quoted = _by_csv(text, separator, offset)
    return tabbed if tabbed.whole or not quoted.whole else quoted


def by_line(text: str, separator: str, offset: int = 0) -> Rows:
    """Each line as a row, without the quotes of its cells, if those are of CSV; otherwise they are part of the text.

    Args:
        text: the lines.
        separator: what stands between cells.
        offset: the number of lines above.
    """
    numbered = enumerate(file_lines(text), 1 + offset)
    return _unquoted(Rows(separator, [Row(n, line.split(separator) if line else []) for n, line in numbered]))


def _unquoted(rows: Rows) -> Rows:
    odd = next((row.line for row in rows.rows if '"' in "".join(row.cells) and not _of_csv(row, rows)), None)
    if odd is None:
        plain = [Row(line, [unquoted(cell) for cell in cells]) for line, cells in rows.rows]
        return replace(rows, rows=plain, quotes="line")
    note = f"quotes are read as part of the text, since not all enclose whole cells as in CSV, the first in line {odd}"
    begun = any(cell.startswith('"') for row in rows.rows for cell in row.cells)
    return replace(rows, notes=(note,) if begun else (), quotes="text")


def _of_csv(row: Row, rows: Rows) -> bool:
    """Whether the quotes of a row are those that a writer of CSV sets: around what needs them, or a whole column."""
    return all(
        '"' not in cell or (QUOTED.fullmatch(cell) and (NEEDED.search(cell[1:-1]) or _all_quoted(row, rows, place)))
        for place, cell in enumerate(row.cells)
    )


def _all_quoted(row: Row, rows: Rows, place: int) -> bool:
    if row is rows.rows[0] and all(QUOTED.fullmatch(cell) for cell in row.cells):
        return True
    below = (other.cells[place] for other in rows.rows[1:] if len(other.cells) > place)
    return all(not cell or QUOTED.fullmatch(cell) for cell in below)


def unquoted(cell: str) -> str:
    """The cell without the quotes that enclose it."""
    return cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell


def _by_csv(text: str, separator: str, offset: int) -> Rows:
    plain = _by_quotes(text, separator, offset, blanks=False)
    if plain.whole or f'{separator} "' not in text:
        return plain
    spaced = _by_quotes(text, separator, offset, blanks=True)  # between a separator and a quote
    return spaced if spaced.whole else plain


def _by_quotes(text: str, separator: str, offset: int, *, blanks: bool) -> Rows:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=blanks)
    rows: list[Row] = []
    spanning: list[int] = []
    before = csv.field_size_limit(LONGEST_CELL)  # of the whole process
    try:
        begin = 1 + offset
        for cells in reader:
            rows.append(Row(begin, cells))
            if reader.line_num + offset > begin and any(separator in cell and _spans(cell) for cell in cells):
                spanning.append(begin)
            begin = reader.line_num + 1 + offset
    except csv.Error as error:
        return Rows(separator, rows, f"{error} at line {reader.line_num + offset}")
    finally:
        csv.field_size_limit(before)
    return Rows(separator, rows, notes=_of_spans(spanning), quotes="spaced" if blanks else "csv")


def _of_spans(lines: Sequence[int]) -> tuple[str, ...]:
    """A note of quoted cells that may have swallowed rows."""
    if not lines:
        return ()
    count = counted(len(lines), "row")
    return (f"{count} with a quoted cell that spans lines and holds the separator, the first in line {lines[0]}",)


def _spans(cell: str) -> bool:
    return "\n" in cell or "\r" in cell
