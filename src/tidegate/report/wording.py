"""What of a template is for people to read, and the same template in another language.

Templates are written in English. A message is what stands between two tags: text, expressions in braces, and tags of
single words such as ``<b>``. A label is a string that an expression or a script shows, or an attribute that
is read aloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

INLINE = r"</?(?:i|b|code|strong|small|br|kbd)\b[^<>]*>"
PIECE = re.compile(
    rf"(?P<statement>{{%.*?%}})|(?P<run>(?:{{{{.*?}}}}|{INLINE}|[^<{{]|{{(?![%{{]))+)|(?P<tag><[^>]*>)", re.DOTALL
)
EXPRESSION = re.compile(rf"{{{{.*?}}}}|{INLINE}", re.DOTALL)
STRING = re.compile(r'(?<![=\w\[])(?<!== )"([^"{}]*)"')  # neither compared with nor the value of a named argument
SHOWN = re.compile(r'\b(?:aria-label|alt|title)="([^"]+)"')
STYLED = re.compile(r'(?<=content: )"([A-Za-z ]{2,})"|(?<=" / )"([A-Za-z ]{2,})"')
SPEAKS = re.compile(r"\{%-?\s*(?:for|set|call)\b")
SCRIPTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`([^`]*)`')
SHOWS = ('"", ', "textContent = ")  # a single word behind these is a text, elsewhere the name of an event or a class
LETTERS = re.compile(r"[A-Za-zµ]{2}")


class Place(NamedTuple):
    """A text in a source: where it begins and ends, and the text."""

    start: int
    end: int
    text: str


def messages(source: str) -> Iterator[Place]:
    """The messages of a template.

    Args:
        source: of the template.
    """
    for piece in PIECE.finditer(source):
        if piece["run"] and LETTERS.search(EXPRESSION.sub("", piece["run"])):
            text = piece["run"].strip()
            start = piece.start() + piece["run"].index(text)
            yield Place(start, start + len(text), text)


def labels(source: str) -> Iterator[Place]:
    """The strings of a template that may be labels; many are not, such as names of classes.

    Args:
        source: of the template.
    """
    taken = [(place.start, place.end) for place in messages(source)]
    for piece in PIECE.finditer(source):
        text = piece[0]
        if (piece["statement"] and SPEAKS.match(text)) or piece["run"]:
            found = STRING.finditer(text)
        elif piece["tag"]:
            found = SHOWN.finditer(text)
        else:
            continue
        for label in found:
            start = piece.start() + label.start(1)
            if piece["tag"] and not LETTERS.search(EXPRESSION.sub("", label[1])):
                continue
            if not any(first <= start < last for first, last in taken):
                yield Place(start, piece.start() + label.end(1), label[1])


def scripted(source: str) -> Iterator[Place]:
    """The strings of a script, and its templates.

    Args:
        source: of the script.
    """
    for label in SCRIPTED.finditer(source):
        group = 1 if label[1] is not None else 2
        place = Place(label.start(group), label.end(group), label[group])
        if " " in place.text or "${" in place.text or source[: label.start()].endswith(SHOWS):
            yield place


def styled(source: str) -> Iterator[Place]:
    """The words that a style sheet adds to a page.

    Args:
        source: of the style sheet.
    """
    for label in STYLED.finditer(source):
        group = 1 if label[1] is not None else 2
        yield Place(label.start(group), label.end(group), label[group])


def texts(name: str, source: str) -> list[Place]:
    """All places of a file of templates that a language may change.

    Args:
        name: of the file.
        source: its content.
    """
    kinds: Mapping[str, tuple[Callable[[str], Iterator[Place]], ...]] = {
        "html": (messages, labels),
        "js": (scripted,),
        "css": (styled,),
    }
    found = [place for kind in kinds.get(name.rpartition(".")[2], ()) for place in kind(source)]
    return sorted(found)


def worded(name: str, source: str, words: Mapping[str, str]) -> str:
    """The file in another language; what its table lacks stays in English.

    Args:
        name: of the file.
        source: its content, in English.
        words: a text for each English one.
    """
    for place in reversed(texts(name, source)):
        source = source[: place.start] + words.get(place.text, place.text) + source[place.end :]
    return source
