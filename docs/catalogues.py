"""Bring the catalogues in ``docs/locale`` up to date with the pages: ``make catalogues``.

What a page no longer says is dropped. What it says in other words keeps its translation, marked as fuzzy: read both,
mend the translation and remove the mark. Files have no dates and no line numbers, so that only sentences change.
"""

from pathlib import Path

from babel.messages import Catalog
from babel.messages.pofile import read_po, write_po
from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent
BUILT = DOCS / "_build" / "gettext"
LANGUAGES = ("zh_CN",)
HEADER = r"""msgid ""
msgstr ""
"Language: {language}\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""


def update(template: Path, target: Path, language: str) -> Catalog:
    """Write the catalogue of one page; what stands there already is kept where the page still says it."""
    with template.open(encoding="utf-8") as text:
        wanted = read_po(text)
    catalog = Catalog(locale=language)
    if target.exists():
        with target.open(encoding="utf-8") as text:
            catalog = read_po(text, locale=language)
    catalog.update(wanted)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        file.write(HEADER.format(language=language).encode())
        write_po(
            file, catalog, width=0, no_location=True, omit_header=True, ignore_obsolete=True, include_previous=True
        )
    return catalog


def main() -> None:
    app = Sphinx(DOCS.parent, DOCS, BUILT, BUILT.with_name("trees") / "gettext", "gettext", status=None, warning=None)
    app.build()
    templates = {template for pattern in app.config.translated for template in BUILT.glob(f"{pattern}.pot")}
    templates.add(BUILT / "cells.pot")  # the sentences of all generated pages
    for language in LANGUAGES:
        for template in sorted(templates):
            name = template.relative_to(BUILT).with_suffix("")
            catalog = update(template, DOCS / "locale" / language / "LC_MESSAGES" / f"{name}.po", language)
            messages = [message for message in catalog if message.id]
            left, fuzzy = sum(not m.string for m in messages), sum(m.fuzzy for m in messages)
            print(f"{language} {name}: {len(messages)} messages, {left} to translate, {fuzzy} fuzzy")  # noqa: T201


if __name__ == "__main__":
    main()
