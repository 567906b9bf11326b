"""Docstrings are written for a terminal; here they become reStructuredText, before napoleon reads their sections."""

import re
from collections.abc import Iterator
from dataclasses import fields
from itertools import groupby
from typing import Any

from sphinx.application import Sphinx

from tidegate.option import OPTIONS
from tidegate.train.setting import Training

from .names import linked

SECTION = re.compile(r"([A-Z][A-Za-z ]+):$")
LISTS = {"Args", "Attributes", "Raises", "Returns", "Yields", "Warns"}  # napoleon reads these
UNTYPED = {"Returns", "Yields"}
RENAMED = {"Parameters": "Weights"}  # of a module; to napoleon they would be arguments
OWN = ("Equations", "Half precision", "Random numbers", "Shapes", "Weights")
CODE = re.compile(r"(``.+?``|`[^`]+`|\*\*[A-Z].+?\*\*)", re.DOTALL)
NAME = re.compile(r"(?<!`)``(\w+)``(?!`)")
NUMBERED = re.compile(r"^(\s*(?:\w+: )?\w)\.(?=\s|$)", re.MULTILINE)  # "N." is a sentence, not the 14th of a list
OF_LAYERS = (
    re.compile(rf"    ({'|'.join(OPTIONS)}): "),
    "    options: keyword arguments of the :doc:`table of options </docs/reference/options>`.",
)
SETTINGS = (
    re.compile(rf"    ({'|'.join(setting.name for setting in fields(Training))}): "),
    "    settings: those that :doc:`every task </docs/reference/settings>` has.",
)


def rewrite(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    classes_alone = what in {"method", "property", "attribute"}  # words in small letters are members beside it
    elsewhere = SETTINGS if isinstance(thing, type) and issubclass(thing, Training) else OF_LAYERS
    kept = without(elsewhere, lines)
    lines[:] = [linked_to(line, name, thing, classes_alone=classes_alone) for line in restructured(kept)]


def linked_to(line: str, name: str, thing: Any, *, classes_alone: bool) -> str:
    """The line with links from names of public things, but for the one that it is about and what it has itself."""
    module = max((one for one in linked() if name.startswith(f"{one}.")), key=len)
    known = linked()[module]

    def link(found: re.Match[str]) -> str:
        full, word = known.get(found[1]), found[1]
        own = hasattr(thing, word) or (classes_alone and word.islower())
        return f":py:obj:`{word} <{full}>`" if full and not own and not name.startswith(full) else found[0]

    return NAME.sub(link, line)


def restructured(lines: list[str]) -> Iterator[str]:
    """A docstring as reStructuredText with the sections of Google's style."""
    section, indent, previous = "", 0, ""
    for whole in paragraphs(lines):
        paragraph = whole
        if not paragraph[0].strip():
            yield from paragraph
            continue
        if heading := SECTION.match(paragraph[0]):
            section, indent = heading[1], 4
            yield f"{RENAMED.get(section, section)}:"
            paragraph = paragraph[1:]
            if section in UNTYPED and paragraph:
                paragraph[0] = f"    : {paragraph[0].lstrip()}"  # else what stands before a colon would be a type
        elif not paragraph[0].startswith(" "):
            section, indent = "", 0
        if paragraph:
            yield from written(paragraph, section, indent, previous)
            previous = paragraph[-1]


def written(paragraph: list[str], section: str, indent: int, previous: str) -> Iterator[str]:
    """One paragraph: examples as they are, equations as a literal block, everything else as text."""
    first = paragraph[0]
    depth = len(first) - len(first.lstrip())
    if first.lstrip().startswith(">>>"):
        yield from paragraph
    elif is_literal(first, section, deeper=depth > indent and not previous.lstrip().startswith("- ")):
        outer = " " * indent
        yield from (
            "",
            f"{outer}::",
            "",
            *(f"{outer}    {line[depth:] if section else line.lstrip()}" for line in paragraph),
        )
    else:
        yield from text("\n".join(paragraph)).split("\n")


def is_literal(first: str, section: str, *, deeper: bool) -> bool:
    """Whether a paragraph that begins so is mathematics."""
    if section == "Equations":
        return "``" not in first
    return deeper and section not in LISTS and "``" not in first and not first.lstrip().startswith(("- ", "* "))


def text(paragraph: str) -> str:
    """Text without meaning to reStructuredText, but for code and what is set in bold."""
    pieces = CODE.split(paragraph)
    return "".join(piece if at % 2 else escaped(piece, after_code=at > 0) for at, piece in enumerate(pieces))


def escaped(piece: str, *, after_code: bool) -> str:
    plain = re.sub(r"([*|\\])|(?<=\w)(_)(?!\w)", r"\\\1\2", piece)
    plain = NUMBERED.sub(r"\1\\.", plain)
    return f"\\ {plain}" if after_code and plain[:1].isalnum() else plain


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    for _, group in groupby(lines, key=lambda line: bool(line.strip())):
        yield [*group]


def without(elsewhere: tuple[re.Pattern[str], str], lines: list[str]) -> list[str]:
    """What has a table of its own, such as all options of layers, is referred to and not listed."""
    entry, mention = elsewhere
    kept: list[str] = []
    inside = mentioned = False
    for line in lines:
        if entry.match(line):
            inside = True
            if not mentioned:
                kept.append(mention)
                mentioned = True
        elif not (inside and line.startswith("        ")):
            inside = False
            kept.append(line)
    return kept


def setup(app: Sphinx) -> None:
    app.config.napoleon_custom_sections = [*OWN]
    app.config.napoleon_use_ivar = True  # else attributes stand twice: as text, and as members
    app.config.suppress_warnings.append("ref.python")  # a type that two rooms have leads nowhere
    app.connect("autodoc-process-docstring", rewrite, priority=400)  # napoleon comes at 500
