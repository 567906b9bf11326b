"""Texts that can be said in other languages: English where they are made, and a table of templates for each other one.

A text for people is made by ``say``. It is a plain English string to everyone: records and JSON hold that. Whoever
shows it to people asks for ``translated``, inside of ``speaking``.
"""

from __future__ import annotations

from tidegate.language.said import (
    LANGUAGES,
    Said,
    check_language,
    joined,
    listed,
    local,
    say,
    speaking,
    tag,
    translated,
    without_first,
)
from tidegate.language.word import word

__all__ = [
    "LANGUAGES",
    "Said",
    "check_language",
    "joined",
    "listed",
    "local",
    "say",
    "speaking",
    "tag",
    "translated",
    "without_first",
    "word",
]
