"""The sentences of generated pages, in English or by the catalogue of another language."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from babel.messages.pofile import read_po

from extension.translation import catalogue

ENGLISH = "en"


def catalogue_of(code: str) -> Path:
    """The file with the translations of all sentences of generated pages."""
    return catalogue(code, "cells")


class Language:
    """Says sentences: ``say("{count} cells", count=3)`` looks up the text, then fills in the values.

    Args:
        code: of the language, such as ``"zh_CN"``.
        sentences: translations by their English.

    Attributes:
        asked: every English text that it was asked for, in order.
    """

    def __init__(self, code: str = ENGLISH, sentences: dict[str, str] | None = None) -> None:
        self.code = code
        self.sentences = sentences or {}
        self.asked: dict[str, None] = {}

    def __call__(self, text: str, **values: object) -> str:
        if not text:
            return ""
        self.asked[text] = None
        said = self.sentences.get(text) or text
        return said.format(**values) if values else said

    def joined(self, sentences: Iterable[str]) -> str:
        """Sentences one after the other: with blanks between them, which Chinese does without."""
        return ("" if self.code.startswith("zh") else " ").join(sentences)

    @classmethod
    def of(cls, code: str) -> Language:
        """The language of a build: English, or one with a catalogue."""
        file = catalogue_of(code)
        return cls(code) if code == ENGLISH or not file.exists() else cls(code, _read(file, file.stat().st_mtime))


@cache
def _read(file: Path, _: float) -> dict[str, str]:
    with file.open(encoding="utf-8") as text:
        return {str(m.id): str(m.string) for m in read_po(text) if m.id and m.string and not m.fuzzy}
