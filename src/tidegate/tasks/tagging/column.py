"""Sentences from columns: a word on each line, and a blank line after each sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import NamedTuple

from tidegate.data import Source, decode
from tidegate.data.text import split_lines
from tidegate.errors import InputError
from tidegate.tasks.tagging.record import Layout, Sentence, Tagged

DOCUMENT = "-DOCSTART-"  # begins a document in the files of CoNLL 2003
BLANKS = re.compile(r"[ \t]+")
SPLIT = re.compile(r"#\s*split\s*=\s*(\w+)\s*")
SPLITS = {"train": "train", "valid": "valid", "dev": "valid", "test": "test"}
WORD_ID, ANY_ID = re.compile(r"[0-9]+"), re.compile(r"[0-9]+(?:[-.][0-9]+)?")
UNIVERSAL, FORM, UPOS = 10, 2, 4  # CoNLL-U: number of columns, and the columns that are read
FORMAT = "write a word and its tag on each line, with a tab or blanks between, and a blank line after each sentence"


class Line(NamedTuple):
    """A line that is not blank."""

    number: int
    text: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """The lines between two blank lines, without comments, and the part that a comment assigns them to."""

    lines: tuple[Line, ...]
    split: str


def read_columns(source: Source, layout: Layout) -> Tagged:
    """Read a word with its columns from each line. Tabs separate columns if every line has one, otherwise blanks.

    Raises:
        InputError: lines have different numbers of columns, a column does not exist, a word has no tag, or the word
            numbers of CoNLL-U are not consecutive.
    """
    blocks = _blocks(source)
    width = _width(source, blocks)
    universal = _universal(source, blocks, width)
    words, tags = _columns(source, layout, blocks, width, universal=universal)
    notes: list[str] = []
    if universal:
        blocks, notes = _words_alone(source, blocks)
    elif width > 2:
        tagged = f" and column {tags} as the tags" if tags else ""
        notes = [f"{source.title}: column {words} of {width} is read as the words{tagged} (word_column=, tag_column=)"]
    sentences = [_sentence(source, block, words, tags, universal=universal) for block in blocks]
    return Tagged(tuple(sentences), tuple(notes))


def _blocks(source: Source) -> list[Block]:
    """Cut a file into sentences of lines."""
    numbered = list(enumerate(split_lines(decode(source)), 1))
    full = [text for _, text in numbered if text.strip(" \t") and not text.startswith(("#", DOCUMENT))]
    tabs = all("\t" in text for text in full)
    groups: list[list[Line]] = [[]]
    for number, text in numbered:
        if not text.strip(" \t") or text.startswith(DOCUMENT):
            groups.append([])
        else:
            groups[-1].append(Line(number, text, _cells(text, tabs=tabs)))
    split, blocks = "", []
    for lines, comments in _without_comments(source, groups):
        split = next((part for part in map(_split, comments) if part), split)
        if lines:
            blocks.append(Block(tuple(lines), split))
    if not blocks:
        raise InputError("TAGGING_EMPTY", f"{source.title} holds no words", fix=FORMAT)
    return blocks


def _cells(text: str, *, tabs: bool) -> tuple[str, ...]:
    return tuple(cell.strip(" ") for cell in text.split("\t")) if tabs else tuple(BLANKS.split(text.strip(" \t")))


def _split(comment: Line) -> str:
    match = SPLIT.fullmatch(comment.text)
    return SPLITS.get(match[1], "") if match else ""


def _without_comments(source: Source, groups: list[list[Line]]) -> Iterator[tuple[list[Line], list[Line]]]:
    """The words and the comments of each group.

    A line that begins with "#" is a comment if it precedes a sentence, unless it looks like a word: it has as many
    columns as other lines, and its last column also occurs in other lines. In CoNLL-U it is always a comment.
    """
    others = [line for group in groups for line in group if not line.text.startswith("#")]
    shapes = set() if _named_universal(source) else {(len(line.cells), line.cells[-1]) for line in others}
    for group in groups:
        first = next((k for k, line in enumerate(group) if not _comment(line, shapes)), len(group))
        yield group[first:], group[:first]


def _comment(line: Line, shapes: set[tuple[int, str]]) -> bool:
    return line.text.startswith("#") and (len(line.cells) < 2 or (len(line.cells), line.cells[-1]) not in shapes)


def _named_universal(source: Source) -> bool:
    return PurePath(source.title).suffix.casefold() == ".conllu"


def _width(source: Source, blocks: Sequence[Block]) -> int:
    """The number of columns, the same in all lines."""
    counts = Counter(len(line.cells) for block in blocks for line in block.lines)
    width = counts.most_common(1)[0][0]
    odd = next((line for block in blocks for line in block.lines if len(line.cells) != width), None)
    if odd is not None:
        raise InputError(
            "TAGGING_COLUMNS",
            f"line {odd.number} of {source.title} has {_counted(len(odd.cells))}, but most lines have {width}: "
            f"{odd.text[:40]!r}",
            fix="give every line the same columns",
        )
    return width


def _counted(columns: int) -> str:
    return "1 column" if columns == 1 else f"{columns} columns"


def _universal(source: Source, blocks: Sequence[Block], width: int) -> bool:
    """Whether the file is CoNLL-U: by its name, or by ten columns, the first of which numbers the words."""
    if _named_universal(source) and width != UNIVERSAL:
        raise InputError(
            "TAGGING_CONLLU",
            f"the lines of {source.title} have {_counted(width)}, but CoNLL-U has {UNIVERSAL}, separated by tabs",
            fix="restore the columns, or rename the file to end in .conll",
        )
    numbered = all(ANY_ID.fullmatch(line.cells[0]) for block in blocks for line in block.lines)
    return _named_universal(source) or (width == UNIVERSAL and numbered)


def _columns(
    source: Source, layout: Layout, blocks: Sequence[Block], width: int, *, universal: bool
) -> tuple[int, int | None]:
    """The numbers of the columns with the words and with the tags."""
    words, tags = layout.word_column, layout.tag_column if layout.labelled else None
    if width == 1 and not layout.labelled:  # words alone, whatever column they had in training
        return 1, None
    if width == 1:
        raise InputError("TAGGING_TAGS", f"the lines of {source.title} have one column: words without tags", fix=FORMAT)
    for name, number in (("word_column", words), ("tag_column", tags)):
        if number is not None and number > width:
            raise InputError(
                "TAGGING_COLUMN", f"{name}={number}, but {source.title} has {width} columns", fix="count them from 1"
            )
    if words is not None and words == tags:
        raise InputError(
            "TAGGING_COLUMN", f"word_column= and tag_column= are both {words}", fix="name two different columns"
        )
    words = words or (FORM if universal else _word_column(blocks, width, tags))
    if not layout.labelled:
        return words, None
    return words, tags or (UPOS if universal else _tag_column(blocks, width, words))


def _word_column(blocks: Sequence[Block], width: int, taken: int | None) -> int:
    """The first column that does not hold numbers only."""
    numbers = range(1, width + 1)
    worded = (n for n in numbers if n != taken and not all(map(WORD_ID.fullmatch, _values(blocks, n))))
    return next(worded, 2 if taken == 1 else 1)


def _tag_column(blocks: Sequence[Block], width: int, taken: int) -> int:
    """The last column that varies, or the last one if none varies."""
    candidates = [n for n in range(width, 0, -1) if n != taken]
    return next((n for n in candidates if len(_values(blocks, n)) > 1), candidates[0])


def _values(blocks: Sequence[Block], column: int) -> set[str]:
    return {line.cells[column - 1] for block in blocks for line in block.lines}


def _words_alone(source: Source, blocks: Sequence[Block]) -> tuple[list[Block], list[str]]:
    """The blocks without the ranges and empty nodes of CoNLL-U, and what was left out."""
    words_alone, omitted = [], Counter[str]()
    for block in blocks:
        lines = [line for line in block.lines if WORD_ID.fullmatch(line.cells[0])]
        for line in block.lines:
            if not ANY_ID.fullmatch(line.cells[0]):
                raise InputError(
                    "TAGGING_CONLLU",
                    f"line {line.number} of {source.title} begins with {line.cells[0][:40]!r}, expected a number",
                    fix="write 1, 2, 3, ..., a range such as 1-2, or an empty node such as 1.1",
                )
            omitted["-" if "-" in line.cells[0] else "." if "." in line.cells[0] else ""] += 1
        _check_count(source, lines)
        if lines:
            words_alone.append(Block(tuple(lines), block.split))
    if not words_alone:
        raise InputError("TAGGING_EMPTY", f"{source.title} holds no words", fix="give every word a line of its own")
    texts = (("-", "multi-word tokens: the words inside are read"), (".", "empty nodes"))
    return words_alone, [f"{source.title}: left out {omitted[mark]} {text}" for mark, text in texts if omitted[mark]]


def _check_count(source: Source, lines: Sequence[Line]) -> None:
    for expected, line in enumerate(lines, 1):
        if line.cells[0] != str(expected):
            raise InputError(
                "TAGGING_CONLLU",
                f"line {line.number} of {source.title} has the number {line.cells[0]}, expected {expected}",
                fix="end every sentence with a blank line, and count its words from 1",
            )


def _sentence(source: Source, block: Block, words: int, tags: int | None, *, universal: bool) -> Sentence:
    for line in block.lines:
        for what, number in (("word", words), ("tag", tags)):
            value = "" if number is None else line.cells[number - 1]
            absent = not value or (what == "tag" and universal and value == "_")
            if number is not None and absent:
                raise InputError(
                    "TAGGING_CELL",
                    f"line {line.number} of {source.title} has no {what} in column {number}: {line.text[:40]!r}",
                    fix="give every word a tag, or choose the columns with word_column= and tag_column=",
                )
    read = [tuple(line.cells[number - 1] for line in block.lines) for number in (words, tags) if number]
    return Sentence(read[0], read[1] if tags else (), f"line {block.lines[0].number}", block.split)
