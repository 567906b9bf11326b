"""Where equations come from: references with links, years, and the chapters that treat a cell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tidegate.cell import Cell
from tidegate.zoo import CELLS

from .language import Language
from .markdown import file_of, link

LEARN = Path(__file__).resolve().parents[2] / "learn"
LINKS = (
    (re.compile(r"arXiv (\d{4}\.\d{4,5})"), r"[arXiv \1](https://arxiv.org/abs/\1)"),
    (re.compile(r"doi (10\.[^ ,;]+)"), r"[doi \1](https://doi.org/\1)"),
)
YEAR = re.compile(r"(?<![\d.])(?:19|20)\d\d(?![\d.])")
SHOWN = re.compile(r"\{(?:equations|diagram|counts)\}[ ]+(.+)")


def linked(source: str) -> str:
    """A reference whose arXiv and doi numbers are links."""
    for pattern, form in LINKS:
        source = pattern.sub(form, source)
    return source


def year(source: str) -> str:
    """The year in which it was published; empty where it is not said."""
    found = YEAR.search(source)
    return found.group() if found else ""


def short(cell: type[Cell], say: Language) -> str:
    """The first author, and the first link if there is one."""
    source, when = cell.source, year(cell.source)
    if not when:
        return say(source)
    authors = source.partition(when)[0].strip(" ,")
    first = re.split(r",| & | et al", authors)[0]
    several = say("{author} et al.", author=first) if re.search("&|et al", authors) else authors
    number = re.search("arXiv [\\d.]+|doi [^ ,;]+", source)
    return several + (f", {linked(number.group())}" if number else "")


def source_lines(cell: type[Cell], say: Language) -> str:
    """The reference, and what differs from it."""
    lines = [say("Source: {source}.", source=linked(cell.source if year(cell.source) else say(cell.source)))]
    if cell.differs:
        lines.append(say("What differs here: {what}.", what=say(cell.differs)))
    return say.joined(lines)


def family(name: str) -> list[str]:
    """The cells that share a definition file with this one, variants included."""
    return [other for other, cell in CELLS.items() if cell.__module__ == CELLS[name].__module__ and other != name]


def relatives(name: str, say: Language) -> str:
    """Links to the family."""
    others = family(name)
    return say("Family") + say(": ") + ", ".join(link(CELLS[other].name, other) for other in others) if others else ""


def chapters(name: str) -> Iterator[Path]:
    """The chapters that show a cell or link to its page."""
    page = re.compile(rf"\.\./cells/{re.escape(file_of(name))}\.md")
    for file in sorted(LEARN.glob("[0-9]*.md")):
        text = file.read_text(encoding="utf-8")
        shown = {cell.lower() for names in SHOWN.findall(text) for cell in names.split()}
        if name in shown or page.search(text):
            yield file


def read_on(name: str, say: Language) -> str:
    """Chapters that treat the cell, by their own titles."""
    found = ", ".join(f"[](../learn/{file.name})" for file in chapters(name))
    return say("Learn") + say(": ") + found if found else ""
