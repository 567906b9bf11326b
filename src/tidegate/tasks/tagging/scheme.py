"""Spans that tags mark, and their scores."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tidegate.errors import InputError
from tidegate.tasks.tagging.record import Sentence

MARKED = re.compile(r"([BIESLU])-(.+)", re.DOTALL)
BARE = frozenset("BIOESLU")
SAME = {"L": "E", "U": "S"}  # BILOU's names for the marks of BIOES
OPEN, INSIDE = ("B", "I"), ("I", "E")
PLAIN = "plain"
ABOUT = {
    "BIO": "B- begins a span, I- continues it",
    "IOB1": "I- begins and continues a span, B- begins one after another of its type",
    "BIOES": "B- begins a span, I- continues it, E- ends it; S- is a span of one word",
    "BILOU": "B- begins a span, I- continues it, L- ends it; U- is a span of one word",
}

Span = tuple[int, int, str]


class SpanScore(NamedTuple):
    """Scores micro-averaged over all spans; 0 / 0 counts as 0."""

    precision: float
    recall: float
    f1: float


def marks(tag: str) -> tuple[str, str]:
    """The mark of a tag, in the letters of BIOES, and the type of its span.

    Examples:
        >>> marks("B-CITY"), marks("U-CITY"), marks("I"), marks("O")
        (('B', 'CITY'), ('S', 'CITY'), ('I', ''), ('O', ''))
    """
    mark, _, kind = tag.partition("-")
    return SAME.get(mark, mark), kind


def spans(tags: Sequence[str]) -> Iterator[Span]:
    """First word, one past the last word, and type of each span.

    The rules are those of conlleval, for IOB1, BIO and BIOES alike: a span continues if the word before is marked B or
    I, this word I or E, and both have the same type. Any other word that is not O begins a span.

    References:
        conlleval, the scorer of CoNLL 2000 to 2003; Ramshaw and Marcus 1995, arXiv cmp-lg/9505040.

    Examples:
        >>> list(spans(["B-A", "I-A", "I-B", "O", "E-A"]))
        [(0, 2, 'A'), (2, 3, 'B'), (4, 5, 'A')]
    """
    begun, before, kind = 0, "O", ""
    for place, (mark, own) in enumerate([*map(marks, tags), ("O", "")]):
        if before in OPEN and mark in INSIDE and own == kind:
            before = mark
            continue
        if before != "O":
            yield begun, place, kind
        begun, before, kind = place, mark, own


def span_score(truth: Iterable[Sequence[str]], answers: Iterable[Sequence[str]]) -> SpanScore:
    """Precision, recall and F1 of predicted spans; a span is right if its ends and its type are.

    Examples:
        >>> span_score([["B-A", "I-A", "B-B"]], [["B-A", "O", "B-B"]])
        SpanScore(precision=0.5, recall=0.5, f1=0.5)
    """
    right = wanted = given = 0
    for true, answer in zip(truth, answers, strict=True):
        real, predicted = set(spans(true)), set(spans(answer))
        right, wanted, given = right + len(real & predicted), wanted + len(real), given + len(predicted)
    precision, recall = right / given if given else 0.0, right / wanted if wanted else 0.0
    return SpanScore(precision, recall, 2 * right / (wanted + given) if wanted + given else 0.0)


def scheme_of(sentences: Sequence[Sentence], title: str) -> str:
    """How the tags of all sentences mark spans: ``"BIO"``, ``"IOB1"``, ``"BIOES"``, ``"BILOU"``, or ``"plain"``.

    Between BIO and IOB1, the scheme that fewer tags break is chosen; BIO if the tags break both equally often.

    Raises:
        InputError: some tags mark spans and others do not, or marks of two schemes occur.
    """
    tags = {tag for sentence in sentences for tag in sentence.tags}
    marked = {tag for tag in tags if MARKED.fullmatch(tag)}
    if not marked:
        marked = tags if tags <= BARE and "B" in tags else set()
    if not marked:
        return PLAIN
    _check_all(sentences, marked, title)
    used = {tag[0] for tag in marked}
    if used & set("ES") and used & set("LU"):
        raise InputError(
            "TAGGING_SCHEMES",
            f"the tags of {title} mix BIOES and BILOU: {_first(marked, 'ES')!r} and {_first(marked, 'LU')!r}",
            fix="convert them to one scheme, or pass plain=True to score tags alone",
        )
    if used & set("ESLU"):
        return "BIOES" if used & set("ES") else "BILOU"
    return min(("BIO", "IOB1"), key=lambda scheme: broken(sentences, scheme))


def _check_all(sentences: Sequence[Sentence], marked: set[str], title: str) -> None:
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            if tag not in marked and tag != "O":
                raise InputError(
                    "TAGGING_SCHEMES",
                    f"the tags of {title} are mixed: {min(marked)!r} marks a span, but {tag!r} of {word[:40]!r} in the "
                    f"sentence from {sentence.place} does not",
                    fix="convert them to one scheme, or pass plain=True to score tags alone",
                )


def _first(tags: Iterable[str], letters: str) -> str:
    return min(tag for tag in tags if tag[0] in letters)


def broken(sentences: Sequence[Sentence], scheme: str) -> int:
    """The number of tags that break the scheme."""
    return sum(
        _breaks(before, now, scheme)
        for sentence in sentences
        for before, now in _neighbours([marks(tag) for tag in sentence.tags])
    )


def _neighbours(read: list[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    outside = ("O", "")
    return zip([outside, *read], [*read, outside], strict=True)


def _breaks(before: tuple[str, str], now: tuple[str, str], scheme: str) -> bool:
    if scheme in ("BIO", "IOB1"):
        goes_on = before[0] in OPEN and before[1] == now[1]
        return now[0] == ("I" if scheme == "BIO" else "B") and not goes_on
    opened, wanted = before[0] in OPEN, now[0] in INSIDE
    return opened != wanted or (wanted and before[1] != now[1])
