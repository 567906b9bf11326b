"""What readers of tagged sentences return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        word_column, tag_column: numbers of columns, counted from 1; recognised from the data unless given.
        labelled: whether each word must have a tag; otherwise tags are not read.
    """

    word_column: int | None = None
    tag_column: int | None = None
    labelled: bool = True


@dataclass(frozen=True)
class Sentence:
    """Words and their tags.

    Attributes:
        words: the words; only JSON lines may hold empty sentences.
        tags: a tag for each word; none if tags are not read.
        place: where it begins, such as ``"line 12"``.
        split: the part that the file assigns it to: ``"train"``, ``"valid"`` or ``"test"``; empty if it does not say.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    place: str
    split: str = ""


@dataclass(frozen=True)
class Tagged:
    """The sentences of a file, and notes on how they were read."""

    sentences: tuple[Sentence, ...]
    notes: tuple[str, ...] = ()
