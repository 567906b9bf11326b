"""How much of the site is translated: counted where pages are read, and told, or refused, when the build ends.

A message is what Sphinx puts into the catalogue of a page. It counts as translated if the catalogue of the language
has a translation of it that is not marked as fuzzy. Equations are the same in every language, and no messages.
"""

from fnmatch import fnmatch
from pathlib import Path

from babel.messages.pofile import read_po
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import extract_messages

LOCALE = Path(__file__).resolve().parents[1] / "locale"


def catalogue(language: str, name: str) -> Path:
    """The file with the translations of a page, or of ``cells``."""
    return LOCALE / language / "LC_MESSAGES" / f"{name}.po"


def sentences(path: Path) -> tuple[set[str], int]:
    """The messages that a catalogue has a translation of, and how many are fuzzy."""
    if not path.exists():
        return set(), 0
    with path.open(encoding="utf-8") as text:
        messages = [message for message in read_po(text) if message.id]
    return {str(m.id) for m in messages if m.string and not m.fuzzy}, sum(m.fuzzy for m in messages)


class Untranslated(SphinxTransform):
    """Equations are no messages."""

    default_priority = 15  # before Sphinx translates

    def apply(self, **_: object) -> None:
        for node in self.document.findall(nodes.math_block):
            node["translatable"] = False


class Count(SphinxTransform):
    """Count the messages of a page that should be translated."""

    default_priority = 16

    def apply(self, **_: object) -> None:
        name, language = self.env.docname, self.config.language
        if language != "en" and should_be_translated(self.config, name):
            messages = {message for _, message in extract_messages(self.document)}
            known, fuzzy = sentences(catalogue(language, name))
            counts(self.env)[name] = (len(messages & known), len(messages), fuzzy)


def should_be_translated(config: Config, name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in config.translated)


def counts(env: BuildEnvironment) -> dict[str, tuple[int, int, int]]:
    """By page: how many messages are translated, how many there are, how many are fuzzy."""
    if not hasattr(env, "translation_counts"):
        env.translation_counts = {}
    return env.translation_counts


def forget(_: Sphinx, env: BuildEnvironment, name: str) -> None:
    counts(env).pop(name, None)


def of_cells(app: Sphinx) -> tuple[int, int, int]:
    """The same of the generated pages of cells."""
    asked = set(app.cells_language.asked)
    known, fuzzy = sentences(catalogue(app.config.language, "cells"))
    return len(asked & known), len(asked), fuzzy


def shares(app: Sphinx) -> dict[str, tuple[int, int, int]]:
    """The sums of what should be translated."""
    found = [sum(column) for column in zip(*counts(app.env).values(), strict=True)] or [0, 0, 0]
    pages = {"Learn": (found[0], found[1], found[2])}
    return pages | {"Cells": of_cells(app)} if hasattr(app, "cells_language") else pages


def gate(app: Sphinx, error: Exception | None) -> None:
    """End with an error if less is translated than should be, or something is fuzzy."""
    if error is not None or app.config.language == "en" or app.builder.name == "gettext":
        return
    least = app.config.translated_share
    found = shares(app)
    short = [f"{name} {known} of {total}" for name, (known, total, _) in found.items() if known * 100 < least * total]
    fuzzy = sum(doubt for _, _, doubt in found.values())
    if short or (fuzzy and least):
        pages = sorted(name for name, (known, total, doubt) in counts(app.env).items() if known < total or doubt)
        raise ExtensionError(
            f"{app.config.language}: translated are {', '.join(short) or 'all messages'}, and {fuzzy} are fuzzy; "
            f"at least {least} % should be, without a fuzzy one. Run make catalogues and complete {', '.join(pages)}"
        )


def setup(app: Sphinx) -> None:
    app.add_config_value("translated", [], "env", list)  # pages, as patterns
    app.add_config_value("translated_share", 100, "", int)  # per cent, below which the build fails
    app.add_transform(Untranslated)
    app.add_transform(Count)
    app.connect("env-purge-doc", forget)
    app.connect("build-finished", gate)
