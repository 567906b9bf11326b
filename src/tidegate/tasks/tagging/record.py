"""What readers of tagged sentences return."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        word_column, tag_column: numbers of columns, counted from 1; recognised from the data unless given.
        labelled: whether each word must have a tag; otherwise tags are not read.
        owner: the key of JSON lines whose value says whom a sentence belongs to.
    """

    word_column: int | None = None
    tag_column: int | None = None
    labelled: bool = True
    owner: str | None = None


@dataclass(frozen=True)
class Sentence:
    """Words and their tags.

    Attributes:
        words: the words; only JSON lines may hold empty sentences.
        tags: a tag for each word; none if tags are not read.
        place: where it begins, such as ``"line 12"``.
        split: the part that the file assigns it to: ``"train"``, ``"valid"`` or ``"test"``; empty if it does not say.
        owner: whom it belongs to; empty unless that is asked for.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    place: str
    split: str = ""
    owner: str = ""


@dataclass(frozen=True)
class Tagged:
    """The sentences of a file, and notes on how they were read."""

    sentences: tuple[Sentence, ...]
    notes: tuple[str, ...] = ()
