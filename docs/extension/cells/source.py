"""Pages on disk are English; a build in another language reads the same page in its own sentences."""

from __future__ import annotations

import os
from pathlib import Path

from sphinx.application import Sphinx

from tidegate.zoo import CELLS

from .index import index_page
from .language import Language, catalogue_of
from .markdown import file_of
from .page import cell_page

DOCS = Path(__file__).resolve().parents[2]
FOLDER = "docs/cells/"


def pages(say: Language) -> dict[str, str]:
    """The text of every page by the name of its file."""
    return {"index": index_page(say), **{file_of(name): cell_page(name, cell, say) for name, cell in CELLS.items()}}


def write(folder: Path) -> None:
    """Write the pages, in English: those that have changed, so that the others are not read again."""
    folder.mkdir(exist_ok=True)
    wanted = {folder / f"{name}.md": text for name, text in pages(Language()).items()}
    for file, text in wanted.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            unfinished = file.with_suffix(f".{os.getpid()}")  # two builds may run at once
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(file)
    for file in set(folder.glob("*.md")) - wanted.keys():
        file.unlink()


def generate(app: Sphinx) -> None:
    write(DOCS / "cells")
    app.cells_language = Language.of(app.config.language)
    app.cell_pages = pages(app.cells_language)


def translate(app: Sphinx, name: str, text: list[str]) -> None:
    """Put the page in the language of the build in place of the file's text."""
    if name.startswith(FOLDER):
        app.env.note_dependency(str(catalogue_of(app.config.language)))
        text[0] = app.cell_pages[name.removeprefix(FOLDER)]


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", generate)
    app.connect("source-read", translate)
