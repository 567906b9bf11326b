"""English texts that know their template and what was put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Self

from tidegate.errors import InputError
from tidegate.language import zh


class Language(NamedTuple):
    """A language.

    Attributes:
        tag: as HTML names it.
        texts: a template for each English one, with the same placeholders.
        join: texts in a row, by what stands between them in English.
    """

    tag: str
    texts: Mapping[str, str]
    join: Callable[[str, Sequence[str]], str]


LANGUAGES: Mapping[str, Language] = {
    "en": Language("en", {}, str.join),
    "zh": Language("zh-CN", zh.TEXTS, zh.join),
}
_spoken: ContextVar[str] = ContextVar("language", default="en")


class Said(str):
    """An English text that can be said in another language. Copies and pickles keep that; slices and sums lose it.

    Args:
        template: in English, with named placeholders.
        values: by the names of the placeholders; they may be such texts themselves.

    Examples:
        >>> text = Said("{count} steps", {"count": 3})
        >>> text
        '3 steps'
        >>> with speaking("zh"):
        ...     print(translated(text))
        3 步
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, values: Mapping[str, Any]) -> Self:
        text = super().__new__(cls, template.format(**values))
        text.template, text.values = template, values
        return text

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.template, self.values

    def into(self, language: Language, say_value: Callable[[Any], Any]) -> str:
        """The text in a language; in English where its table lacks the template.

        Args:
            language: the language.
            say_value: what says a value in it.
        """
        template = language.texts.get(self.template, self.template)
        return template.format(**{name: say_value(value) for name, value in self.values.items()})


class Joined(Said):
    """Several texts in a row.

    Args:
        joint: what stands between them.
        parts: the texts.
    """

    __slots__ = ("joint", "parts")
    joint: str
    parts: tuple[str, ...]

    def __new__(cls, joint: str, parts: Sequence[str]) -> Self:
        text = str.__new__(cls, joint.join(parts))
        text.template, text.values = str(text), {}
        text.joint, text.parts = joint, tuple(parts)
        return text

    def __getnewargs__(self) -> tuple[Any, ...]:
        return self.joint, self.parts

    def into(self, language: Language, say_value: Callable[[Any], Any]) -> str:
        return language.join(self.joint, [say_value(part) for part in self.parts])


def say(template: str, /, **values: Any) -> str:
    """A text for people, in English.

    Args:
        template: with named placeholders and, behind a colon, how a number is written. A literal
            string: a test collects them and compares them with the tables.
        **values: by the names of the placeholders.

    Returns:
        A string that ``translated`` can say in another language.
    """
    return Said(template, values)


def joined(parts: Sequence[str], joint: str = " ") -> str:
    """Texts in a row, of which each is translated by itself.

    Args:
        parts: the texts; empty ones are left out.
        joint: what stands between them in English: a space between sentences, or ``", "`` in a list.
    """
    return Joined(joint, [part for part in parts if part])


def listed(names: Sequence[str]) -> str:
    """``a, b and c``."""
    return joined([joined(names[:-1], ", "), names[-1]], " and ") if len(names) > 1 else names[0]


def without_first(text: str, first: str) -> str:
    """What ``joined`` has made, without its first part where it is this one."""
    return joined(text.parts[1:]) if isinstance(text, Joined) and text.parts[0] == first else text


def local(template: str, /, **values: Any) -> str:
    """``say`` and ``translated`` in one: for what is shown at once.

    Args:
        template: as ``say`` takes it.
        **values: likewise.
    """
    text: str = translated(say(template, **values))
    return text


def translated(text: Any, language: str | None = None) -> Any:
    """A text in the language that is spoken.

    Args:
        text: of ``say``; anything else is returned as it is.
        language: another one than that of ``speaking``.
    """
    if not isinstance(text, Said):
        return text
    name = _spoken.get() if language is None else check_language(language)
    if name == "en":
        return str.__str__(text)
    return text.into(LANGUAGES[name], lambda value: translated(value, name))


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Say texts in this language inside of the block.

    Args:
        language: its name, of ``LANGUAGES``.

    Raises:
        InputError: there is no such language.
    """
    token = _spoken.set(check_language(language))
    try:
        yield
    finally:
        _spoken.reset(token)


def tag() -> str:
    """The spoken language as HTML names it."""
    return LANGUAGES[_spoken.get()].tag


def check_language(language: Any) -> str:
    """The name of a language.

    Raises:
        InputError: there is no such language.
    """
    if not isinstance(language, str) or language not in LANGUAGES:
        names = ", ".join(LANGUAGES)
        raise InputError("LANGUAGE", f"there is no language {language!r:.40}", fix=f"choose of {names}")
    return language
