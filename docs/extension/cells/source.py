"""Pages on disk are English; a build in another language reads the same page in its own sentences."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from babel.messages import Catalog
from babel.messages.pofile import write_po
from filelock import FileLock
from sphinx.application import Sphinx

from extension.execute import KEPT, library
from tidegate.zoo import CELLS

from . import counts, pulse
from .index import index_page
from .language import Language, catalogue_of
from .markdown import file_of
from .page import cell_page
from .reference import LEARN
from .speed import RESULTS

DOCS = Path(__file__).resolve().parents[2]
FOLDER = "docs/cells/"
Pages = dict[str, str]  # the text of every page by the name of its file


def pages(say: Language) -> Pages:
    """All pages in a language, which then knows every sentence that it was asked for."""
    for text in (*counts.SENTENCES, *pulse.SENTENCES):  # what directives say
        say(text)
    return {"index": index_page(say), **{file_of(name): cell_page(name, cell, say) for name, cell in CELLS.items()}}


def made(say: Language) -> Pages:
    """The same; kept, since it takes seconds, for builds in which nothing that it depends on has changed."""
    kept = KEPT / f"cells-{say.code}-{_digest(say.code)}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(kept.with_suffix(".lock")):
        if not kept.exists():
            _write(kept, json.dumps({"pages": pages(say), "asked": say.asked}))
    found = json.loads(kept.read_text(encoding="utf-8"))
    say.asked.update(found["asked"])
    return dict(found["pages"])


def _digest(code: str) -> str:
    own = Path(__file__).parent
    files = [*own.glob("*.py"), *own.glob("*.md"), *RESULTS.glob("*.json"), *LEARN.glob("*.md"), catalogue_of(code)]
    texts = [file.name.encode() + file.read_bytes() for file in sorted(files) if file.exists()]
    return hashlib.sha256(b"".join([library().encode(), *texts])).hexdigest()


def write(folder: Path, wanted: Pages) -> None:
    """Write the pages that have changed, so that the others are not read again; others than these are dropped."""
    folder.mkdir(exist_ok=True)
    files = {folder / f"{name}.md": text for name, text in wanted.items()}
    for file, text in files.items():
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            _write(file, text)
    for file in set(folder.glob("*.md")) - files.keys():
        file.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    """At once, since builds in two languages may run side by side."""
    unfinished = file.with_suffix(f".{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(file)


def write_template(file: Path, say: Language) -> None:
    """All sentences as a template for catalogues."""
    template = Catalog()
    for text in say.asked:
        template.add(text)
    with file.open("wb") as target:
        write_po(target, template, width=0, omit_header=True)


def generate(app: Sphinx) -> None:
    english, app.cells_language = Language(), Language.of(app.config.language)
    app.cell_pages = made(app.cells_language)  # first, so that two builds at once make one language each
    write(DOCS / "cells", made(english))
    if app.builder.name == "gettext":
        write_template(Path(app.outdir) / "cells.pot", english)


def translate(app: Sphinx, name: str, text: list[str]) -> None:
    """Put the page in the language of the build in place of the file's text."""
    if name.startswith(FOLDER):
        app.env.note_dependency(str(catalogue_of(app.config.language)))
        text[0] = app.cell_pages[name.removeprefix(FOLDER)]


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", generate)
    app.connect("source-read", translate)
