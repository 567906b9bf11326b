"""Pairs of texts: sentences and their translations, words and their pronunciations."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from tidegate.data import packed
from tidegate.data.catalogue import BUNDLED
from tidegate.data.column import check_column
from tidegate.data.json_lines import read_objects
from tidegate.data.parquet import read_parquet
from tidegate.data.source import PREFIX, Source
from tidegate.data.table import read_table
from tidegate.data.text import lines
from tidegate.errors import InputError

NAMES = ("source", "target")
LONGEST = 10_000  # characters on one side; longer texts are documents
FORMATS = "a tab between source and target (.tsv, .txt), JSON lines, CSV, Parquet or a pronouncing dictionary (.dict)"

Names = tuple[str | None, str | None]
Row = tuple[str, str, str]  # the place, the source, the target


@dataclass(frozen=True)
class Pairs:
    """Source texts and their targets; a source may occur in several pairs.

    Attributes:
        lexicon: whether they are words and their phonemes, from a pronouncing dictionary.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    lexicon: bool = False


def read_pairs(source: Source, names: Names = (None, None), *, stress: bool = False) -> Pairs:
    r"""Read pairs from a file. Its suffix determines the format; ``.gz`` may follow it.

    ``.tsv`` and ``.txt`` have a source, a tab and a target on each line, and anything after a second tab (e.g. an
    attribution) is ignored; if the first line names the columns, they are selected by name. ``.jsonl`` has an object
    on each line, ``.csv`` and ``.parquet`` have named columns. ``.dict`` is CMUdict's format, ``word  P H O N E S``,
    with further pronunciations as ``word(2)``. Texts are normalised to Unicode form C with single blanks.

    Args:
        source: the file.
        names: the columns; ``source`` and ``target`` unless given.
        stress: whether phonemes keep their stress digits.

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
    rows = _lexicon(source, stress=stress) if lexicon else READERS[ending](source, names)
    return replace(_checked(source, rows), lexicon=lexicon)


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
    pairs: dict[tuple[str, str], None] = {}
    count, empty, where = 0, 0, ""
    for place, *sides in rows:
        left, right = (_cleaned(source, place, side) for side in sides)
        count += 1
        if left and right:
            pairs[left, right] = None
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
    return Pairs(tuple(left for left, _ in pairs), tuple(right for _, right in pairs), tuple(warnings))


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


def _tabbed(source: Source, names: Names) -> Iterator[Row]:
    wanted = _named(names)
    places = (0, 1)
    for k, (place, line) in enumerate(lines(source)):
        cells = line.split("\t")
        if k == 0 and (any(names) or set(wanted) <= set(cells)):
            _check_columns(source, wanted, cells)
            places = (cells.index(wanted[0]), cells.index(wanted[1]))
        elif len(cells) <= max(places):
            raise InputError(
                "PAIR_COLUMNS",
                f"{place} of {source.title} has {len(cells)} column{'s' * (len(cells) > 1)}, not a source, a tab "
                f"and a target: {line[:40]!r}",
                fix="put a tab between source and target",
            )
        else:
            yield place, cells[places[0]], cells[places[1]]


def _json_lines(source: Source, names: Names) -> Iterator[Row]:
    wanted = _named(names)
    form = "{" + ", ".join(f'"{name}": "text"' for name in wanted) + "}"
    for place, row in read_objects(source, form):
        if not all(isinstance(row.get(name), str) for name in wanted):
            raise InputError(
                "PAIR_JSON", f"{place} of {source.title} is {str(row)[:60]}, not {form}", fix="correct that line"
            )
        yield place, row[wanted[0]], row[wanted[1]]


def _csv(source: Source, names: Names) -> Iterator[Row]:
    table = read_table(source)
    wanted = _named(names)
    _check_columns(source, wanted, table.header)
    columns = (table.cells[name] for name in wanted)
    for row, (left, right) in enumerate(zip(*columns, strict=True), 1):
        yield f"row {row}", left, right


def _parquet(source: Source, names: Names) -> Iterator[Row]:
    wanted = _named(names)
    table = read_parquet(source)
    _check_columns(source, wanted, list(table.columns))
    columns = (table[name].tolist() for name in wanted)
    for row, cells in enumerate(zip(*columns, strict=True), 1):
        for name, cell in zip(wanted, cells, strict=True):
            if not isinstance(cell, str) and not pd.isna(cell):
                raise InputError(
                    "PAIR_PARQUET",
                    f"row {row} of {source.title} holds {str(cell)[:40]} in {name!r}, not text",
                    fix="name a text column",
                )
        left, right = ("" if pd.isna(cell) else cell for cell in cells)
        yield f"row {row}", left, right


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
        yield place, word, " ".join(phonemes)


READERS: dict[str, Callable[[Source, Names], Iterator[Row]]] = {
    ".tsv": _tabbed,
    ".txt": _tabbed,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
    ".dict": lambda source, _: _lexicon(source, stress=False),
}
