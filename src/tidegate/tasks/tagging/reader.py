"""Read tagged sentences, and the parts of the data that they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from tidegate.data import Source, decode
from tidegate.data.json_lines import read_objects
from tidegate.data.labelled.memory import as_list
from tidegate.data.owner import check_no_column, owners_of
from tidegate.data.text import blank_lines, split_lines
from tidegate.errors import InputError
from tidegate.tasks.tagging.column import SPLITS, read_columns
from tidegate.tasks.tagging.record import Layout, Sentence, Tagged

WORDS = ("words", "tokens")
FORM = '{"words": [...], "tags": [...]}'
LISTS = "pass lists of words, and as many lists of tags"
COLUMNS = (".conll", ".conllu", ".bio", ".iob")


def read_tagged(source: Source, layout: Layout) -> Tagged:
    """Read sentences with their tags from JSON lines or columns.

    Without tags, a file may also hold a word on each line or, unless its suffix stands for columns, a sentence.

    Raises:
        InputError: the file has none of these forms.
    """
    suffix = PurePath(source.title).suffix.casefold()
    if suffix in (".jsonl", ".ndjson", ".json") or source.raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b'{"'):
        return _read_json_lines(source, layout)
    if not layout.labelled and suffix not in COLUMNS:
        lines = split_lines(decode(source).strip())
        if _prose(lines):
            sentences = (Sentence(tuple(line.split()), (), "") for line in lines if line.strip())
            return Tagged(tuple(sentences), blank_lines(source))
    check_no_column(source.title, layout.owner, "a file of columns, each of which is one of the words")
    return read_columns(source, layout)


def _prose(lines: Sequence[str]) -> bool:
    """Whether each line is a sentence: lines of several words, of different lengths or without a blank line between."""
    counts = {len(line.split()) for line in lines}
    return max(counts) > 1 and not any("\t" in line for line in lines) and (len(counts - {0}) > 1 or 0 not in counts)


def _read_json_lines(source: Source, layout: Layout) -> Tagged:
    sentences = tuple(_from_json(source, place, row, layout) for place, row in read_objects(source, FORM))
    return Tagged(sentences, blank_lines(source))


def _from_json(source: Source, place: str, row: Mapping[str, Any], layout: Layout) -> Sentence:
    key = next((name for name in WORDS if name in row), None)
    if key is None:
        raise InputError("TAGGING_KEY", f"{place} of {source.title} has no 'words'", fix=f"write {FORM}")
    words = _texts(source, place, key, row[key])
    split = row.get("split", "")
    if not isinstance(split, str) or (split and split not in SPLITS):
        raise InputError(
            "TAGGING_SPLIT", f"'split' in {place} of {source.title} is {split!r:.40}", fix="write train, valid or test"
        )
    if not layout.labelled:
        return Sentence(words, (), place)
    if "tags" not in row:
        raise InputError("TAGGING_KEY", f"{place} of {source.title} has no 'tags'", fix=f"write {FORM}")
    tags = _texts(source, place, "tags", row["tags"])
    if len(words) != len(tags):
        raise InputError(
            "TAGGING_LENGTHS",
            f"{place} of {source.title} has {len(words)} words, but {len(tags)} tags",
            fix="give every word one tag",
        )
    cells = {name: [value] for name, value in row.items()}
    named = () if layout.owner is None else owners_of(source.title, cells, layout.owner, lambda _: place)
    return Sentence(words, tags, place, SPLITS.get(split, ""), *named)


def _texts(source: Source, place: str, key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InputError(
            "TAGGING_LIST", f"{key!r} in {place} of {source.title} is not a list: {value!r:.40}", fix=f"write {FORM}"
        )
    odd = next((text for text in value if not isinstance(text, str) or not _readable(text)), None)
    if odd is not None:
        raise InputError(
            "TAGGING_TEXT",
            f"{key!r} in {place} of {source.title} holds {odd!r:.40}, expected texts without tabs and line breaks",
            fix="write every word and every tag as a text that is not empty",
        )
    return tuple(value)


def _readable(text: str) -> bool:
    """Whether a text can be written as a cell, in UTF-8."""
    whole = text.strip() and not any(mark in text for mark in "\t\r\n")
    return bool(whole) and not any("\ud800" <= letter <= "\udfff" for letter in text)


def read_parts(source: Source, layout: Layout) -> dict[str, Tagged]:
    """The sentences by part: ``"train"``, and ``"valid"`` and ``"test"`` where the source has them.

    Raises:
        InputError: a file assigns some sentences to parts and leaves others out, or assigns none to training.
    """
    whole = read_tagged(source, layout)
    parts = _assigned(source, whole)
    for part, own in (("valid", source.valid), ("test", source.test)):
        if own is not None:
            parts[part] = read_tagged(own, replace(layout, owner=None))
    return parts


def _assigned(source: Source, whole: Tagged) -> dict[str, Tagged]:
    named = {sentence.split for sentence in whole.sentences}
    if named == {""}:
        return {"train": whole}
    if "" in named or "train" not in named:
        lacks = "does not assign all sentences to a part" if "" in named else "assigns no sentence to training"
        raise InputError("TAGGING_SPLIT", f"{source.title} {lacks}", fix="say split = train, valid or test for each")
    notes = {"train": whole.notes}
    return {
        part: Tagged(tuple(sentence for sentence in whole.sentences if sentence.split == part), notes.get(part, ()))
        for part in ("train", "valid", "test")
        if part in named
    }


def in_memory(words: Any, tags: Any = None) -> Source:
    """Write lists of words and tags as JSON lines, which the reader checks like those of a file.

    Raises:
        InputError: the data have another form.
    """
    sentences = as_list(words, "the sentences", LISTS)
    rows: list[dict[str, Any]] = [
        {"words": as_list(sentence, f"sentence {k}", LISTS)} for k, sentence in enumerate(sentences, 1)
    ]
    if tags is not None:
        answers = as_list(tags, "the tags", LISTS)
        if len(answers) != len(rows):
            raise InputError("FIT_TAGS", f"{len(rows)} sentences came with {len(answers)} lists of tags", fix=LISTS)
        rows = [
            {**row, "tags": as_list(answer, f"the tags of sentence {k}", LISTS)}
            for k, (row, answer) in enumerate(zip(rows, answers, strict=True), 1)
        ]
    try:
        return Source("memory", "data in memory", "\n".join(map(json.dumps, rows)).encode())
    except TypeError as error:
        raise InputError("FIT_DATA", f"words and tags must be strings: {error}", fix=LISTS) from None


def merged(parts: Mapping[str, Tagged]) -> list[Sentence]:
    """The sentences of all parts."""
    return [sentence for part in parts.values() for sentence in part.sentences]


def taken(whole: Tagged, rows: Sequence[int], *, notes: bool = False) -> Tagged:
    """Some of the sentences."""
    return replace(whole, sentences=tuple(whole.sentences[row] for row in rows), notes=whole.notes if notes else ())
