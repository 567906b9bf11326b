"""Pairs of texts: sentences and their translations, words and their pronunciations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tidegate.data import packed
from tidegate.data.catalogue import BUNDLED
from tidegate.data.column import absent, check_column, described
from tidegate.data.json_lines import read_objects
from tidegate.data.owner import FIX, check_no_column, owners_of
from tidegate.data.parquet import read_parquet
from tidegate.data.row import Row as Cells
from tidegate.data.row import by_line, checked
from tidegate.data.source import PREFIX, Source
from tidegate.data.table import read_table
from tidegate.data.text import blank_lines, decode, lines
from tidegate.errors import InputError

NAMES = ("source", "target")
LONGEST = 10_000  # characters on one side; longer texts are documents
FORMATS = "a tab between source and target (.tsv, .txt), JSON lines, CSV, Parquet or a pronouncing dictionary (.dict)"

Names = tuple[str | None, str | None]
Row = tuple[str, str, str, str]  # the place, the source, the target, and whom they belong to
Read = tuple[Iterator[Row], tuple[str, ...]]  # with notes


@dataclass(frozen=True)
class Pairs:
    """Source texts and their targets; a source may occur in several pairs.

    Attributes:
        lexicon: whether they are words and their phonemes, from a pronouncing dictionary.
        owners: whom each pair belongs to, where a column was named.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    lexicon: bool = False
    owners: tuple[str, ...] = ()


def read_pairs(
    source: Source,
    names: Names = (None, None),
    *,
    stress: bool = False,
    separator: str | None = None,
    owner: str | None = None,
) -> Pairs:
    r"""Read pairs from a file. Its suffix determines the format; ``.gz`` may follow it.

    ``.tsv`` and ``.txt`` have a source, a tab and a target on each line, and anything after a second tab (e.g. an
    attribution) is ignored; if the first line names the columns, they are selected by name. ``.jsonl`` has an object
    on each line, ``.csv`` and ``.parquet`` have named columns. ``.dict`` is CMUdict's format, ``word  P H O N E S``,
    with further pronunciations as ``word(2)``. Texts are normalised to Unicode form C with single blanks.

    Args:
        source: the file.
        names: the columns; ``source`` and ``target`` unless given.
        stress: whether phonemes keep their stress digits.
        separator: what stands between the cells of ``.tsv``, ``.txt`` and ``.csv``, instead of tabs or what is found.
        owner: the column whose values say whom a pair belongs to. Copies of a pair of another owner are kept.

    Raises:
        InputError: another format, a text that is too long, or no pairs.

    Examples:
        >>> read_pairs(Source("a.tsv", "a.tsv", "Hi.\tSalut !\tCC-BY\n".encode())).targets
        ('Salut !',)
    """
    source = unpacked(source)
    ending = Path(source.title).suffix.casefold()
    if ending not in READERS:
        raise InputError(
            "PAIR_FORMAT", f"the suffix of {source.title} is not that of a format of pairs", fix=f"pass {FORMATS}"
        )
    lexicon = ending == ".dict"
    if lexicon:
        check_no_column(source.title, owner, "a pronouncing dictionary")
    layout = _Layout(names, separator, owner)
    rows, notes = (_lexicon(source, stress=stress), ()) if lexicon else READERS[ending](source, layout)
    pairs = _checked(source, rows)
    return replace(pairs, warnings=notes + pairs.warnings, lexicon=lexicon)


def unpacked(source: Source) -> Source:
    """The unpacked source, titled by its file name without a suffix such as ``.gz``."""
    if source.address.startswith(PREFIX):
        file = BUNDLED[source.address.removeprefix(PREFIX)].file
        assert file is not None  # generated sets have tasks of their own
        return replace(source, title=Path(file).name.removesuffix(".xz"))
    raw, title = packed.unpacked(source.raw, source.title)
    return replace(source, raw=raw, title=title)


def _checked(source: Source, rows: Iterator[Row]) -> Pairs:
    """Cleaned pairs; those with an empty side are dropped and counted in a warning."""
    pairs: dict[tuple[str, str, str], None] = {}
    count, empty, where = 0, 0, ""
    for place, *sides, owner in rows:
        left, right = (_cleaned(source, place, side) for side in sides)
        count += 1
        if left and right:
            pairs[left, right, owner] = None
        else:
            empty, where = empty + 1, where or place
    if not pairs:
        raise InputError(
            "PAIR_EMPTY", f"{source.title} holds no pair with text on both sides ({count} rows)", fix=f"pass {FORMATS}"
        )
    warnings = (
        [f"{empty} of {count} pairs were left out because a side is empty, the first in {where}"] if empty else []
    )
    repeated = count - empty - len(pairs)
    warnings += [f"{repeated} of {count} pairs are exact copies of another and count once"] if repeated else []
    sources, targets, owners = zip(*pairs, strict=True)
    return Pairs(sources, targets, tuple(warnings), owners=owners if any(owners) else ())


def _cleaned(source: Source, place: str, text: str) -> str:
    if len(text) > LONGEST:
        raise InputError(
            "PAIR_LONG",
            f"{place} of {source.title} has {len(text):,} characters on one side; at most {LONGEST:,} are allowed",
            fix="pass sentences or words, not documents; check for missing line breaks",
        )
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(
            "PAIR_SURROGATE",
            f"{place} of {source.title} contains half of a surrogate pair",
            fix="correct its \\ud8.. escape",
        )
    return cleaned(text)


def cleaned(text: str) -> str:
    """The text in Unicode form C, with single blanks between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


@dataclass(frozen=True)
class _Layout:
    """The columns of a table: those of source and target, what separates cells, and whose values are owners."""

    names: Names
    separator: str | None
    owner: str | None

    def owners(self, source: Source, columns: Mapping[str, Sequence[Any]]) -> Sequence[str]:
        """Whom each row belongs to; nobody unless a column is named."""
        if self.owner is None:
            return [""] * len(next(iter(columns.values())))
        return owners_of(source.title, columns, self.owner, lambda row: f"row {row + 1}")


def _tabbed(source: Source, layout: _Layout) -> Read:
    read = by_line(decode(source), checked(layout.separator or "tab"))
    return _between(source, layout, [row for row in read.rows if not row.blank]), read.notes + blank_lines(source)


def _between(source: Source, layout: _Layout, rows: Sequence[Cells]) -> Iterator[Row]:
    wanted = _named(layout.names)
    places, own = (0, 1), None
    for k, (line, cells) in enumerate(rows):
        if k == 0 and (any(layout.names) or set(wanted) <= set(cells)):
            _check_columns(source, wanted, cells)
            places = (cells.index(wanted[0]), cells.index(wanted[1]))
            if layout.owner is not None:
                check_column(source.title, layout.owner, cells, fix=FIX)
                own = cells.index(layout.owner)
        elif len(cells) <= max(*places, own or 0):
            raise InputError(
                "PAIR_COLUMNS",
                f"line {line} of {source.title} has {len(cells)} column{'s' * (len(cells) > 1)}, not a source, a tab "
                f"and a target: {cells[0][:40]!r}",
                fix="put a tab between source and target, or name what stands there with separator=",
            )
        else:
            if own is None:
                check_no_column(source.title, layout.owner, "a table whose first line does not name its columns")
            named = {layout.owner or "": [cells[own]]} if own is not None else {"": [""]}
            yield f"line {line}", cells[places[0]], cells[places[1]], layout.owners(source, named)[0]


def _json_lines(source: Source, layout: _Layout) -> Read:
    return _objects(source, layout), blank_lines(source)


def _objects(source: Source, layout: _Layout) -> Iterator[Row]:
    wanted = _named(layout.names)
    form = "{" + ", ".join(f'"{name}": "text"' for name in wanted) + "}"
    for place, row in read_objects(source, form):
        odd = next((name for name in wanted if not isinstance(row.get(name), str)), None)
        if odd is not None:
            what = f"{described(row[odd])} in {odd!r}, not a text" if odd in row else f"no {odd!r}"
            raise InputError("PAIR_JSON", f"{place} of {source.title} has {what}", fix=f"write {form}")
        (owner,) = layout.owners(source, {name: [value] for name, value in row.items()})
        yield place, row[wanted[0]], row[wanted[1]], owner


def _csv(source: Source, layout: _Layout) -> Read:
    table = read_table(source, layout.separator)
    wanted = _named(layout.names)
    _check_columns(source, wanted, table.header)
    sides = zip(*(table.cells[name] for name in wanted), layout.owners(source, table.cells), strict=True)
    return ((f"row {row}", *texts) for row, texts in enumerate(sides, 1)), table.notes


def _parquet(source: Source, layout: _Layout) -> Read:
    wanted = _named(layout.names)
    table = read_parquet(source)
    _check_columns(source, wanted, list(table.columns))
    texts = (_texts(source, name, table[name].tolist()) for name in wanted)
    sides = zip(*texts, layout.owners(source, {name: table[name].tolist() for name in table.columns}), strict=True)
    return ((f"row {row}", *own) for row, own in enumerate(sides, 1)), ()


def _texts(source: Source, name: str, cells: Sequence[Any]) -> Iterator[str]:
    """The texts of a column of Parquet, where a missing one is empty."""
    for row, cell in enumerate(cells, 1):
        if not isinstance(cell, str) and not absent(cell):
            raise InputError(
                "PAIR_PARQUET",
                f"row {row} of {source.title} holds {described(cell)} in {name!r}, not a text",
                fix="name a text column",
            )
        yield "" if absent(cell) else cell


def _named(names: Names) -> tuple[str, str]:
    return names[0] or NAMES[0], names[1] or NAMES[1]


def _check_columns(source: Source, wanted: tuple[str, str], header: list[str]) -> None:
    for name, option in zip(wanted, NAMES, strict=True):
        check_column(source.title, name, header, fix=f"name it with {option}_column=COLUMN")


def _lexicon(source: Source, *, stress: bool) -> Iterator[Row]:
    for place, line in lines(source):
        entry = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].split()  # a comment may follow the phonemes
        if line.startswith(";;;") or not entry:
            continue
        if len(entry) == 1:
            raise InputError(
                "PAIR_LEXICON",
                f"{place} of {source.title} has a word but no phonemes: {line[:40]!r}",
                fix="write lines such as: hello HH AH0 L OW1",
            )
        word = re.sub(r"(?<=.)\(\d+\)$", "", entry[0])
        phonemes = entry[1:] if stress else [re.sub(r"(?<=[A-Z])[012]$", "", phoneme) for phoneme in entry[1:]]
        yield place, word, " ".join(phonemes), ""


READERS: dict[str, Callable[[Source, _Layout], Read]] = {
    ".tsv": _tabbed,
    ".txt": _tabbed,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
    ".dict": lambda source, _: (_lexicon(source, stress=False), ()),
}
