"""Texts and their classes from lines that begin with the class, or from a file or folder for each class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from tidegate.data.labelled.record import Labelled, Layout
from tidegate.data.packed import plain_name
from tidegate.data.source import Source
from tidegate.data.text import blank_lines, decode, split_lines
from tidegate.errors import InputError

FORMAT = "write the class, a blank and the text on each line, or a table whose first line names the columns"


def read_lines(source: Source, layout: Layout) -> Labelled:
    """A class, a blank and a text on each line; without classes, a text on each line.

    Raises:
        InputError: a line has no blank, or too many lines begin with different words.
    """
    numbered = [(n, line.strip()) for n, line in enumerate(split_lines(decode(source)), 1) if line.strip()]
    if not layout.labelled:
        known = {str(label) for label in layout.classes}
        parts = [line.split(maxsplit=1) for _, line in numbered]
        prefixed = all(len(part) == 2 and _class(part[0], layout) in known for part in parts)
        texts = [part[1] for part in parts] if prefixed else [line for _, line in numbered]
        return Labelled(tuple(texts), (), blank_lines(source))
    labels, texts = [], []
    for number, line in numbered:
        label, *text = line.split(maxsplit=1)
        if not text:
            raise InputError(
                "LABELLED_LINE",
                f"line {number} of {source.title} is {line[:40]!r}, not a class and a text",
                fix=FORMAT,
            )
        labels.append(label)
        texts.append(text[0])
    kinds = len({_class(label, layout) for label in labels})
    if kinds > max(2, len(labels) // 2):
        raise InputError(
            "LABELLED_LINE",
            f"the {len(labels)} lines of {source.title} begin with {kinds} different words, too many to be classes",
            fix=FORMAT,
        )
    return Labelled(tuple(texts), tuple(labels), blank_lines(source))


def _class(word: str, layout: Layout) -> str:
    return word.split(layout.label_end, 1)[0] if layout.label_end else word


def read_folder(source: Source, layout: Layout) -> Labelled:
    """``CLASS.txt`` with a text on each line, or ``CLASS/FILE`` with a text in each file.

    Raises:
        InputError: both kinds of files, or nested folders.
    """
    members = tuple(m for m in source.members if PurePath(plain_name(m)).suffix == ".txt") or source.members
    depths = {len(PurePath(member).parts): member for member in members}
    if len(depths) > 1 or max(depths) > 2:
        raise InputError(
            "LABELLED_FOLDER",
            f"{source.title} has {' and '.join(sorted(depths.values()))}, not a file or a folder for each class",
            fix="keep CLASS.txt files (a text on each line), or CLASS/ folders (a text in each file)",
        )
    read = _whole if 2 in depths else _by_line
    pairs = [(text, label) for member in members for text, label in read(source, member, layout)]
    ignored = len(source.members) - len(members)
    warnings = (f"{ignored} files without the suffix .txt were left out",) if ignored else ()
    return Labelled(tuple(text for text, _ in pairs), tuple(label for _, label in pairs), warnings)


def _by_line(source: Source, member: str, layout: Layout) -> Iterator[tuple[str, str]]:
    for line in split_lines(_decoded(source, member, layout)):
        if line.strip():
            yield line.strip(), PurePath(plain_name(member)).stem


def _whole(source: Source, member: str, layout: Layout) -> Iterator[tuple[str, str]]:
    yield _decoded(source, member, layout).strip(), PurePath(member).parts[0]


def _decoded(source: Source, member: str, layout: Layout) -> str:
    return decode(in_utf8(Source(member, f"{source.title}/{member}", source.read(member)), layout.encoding))


def in_utf8(source: Source, encoding: str) -> Source:
    """The same text in UTF-8."""
    if encoding == "utf-8" or source.members:
        return source
    return Source(source.address, source.title, source.raw.decode(encoding).encode())
