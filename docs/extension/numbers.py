"""What a build counted, for ``docs/build.py`` to tell: pages, blocks of code, shares that are translated."""

import json
from pathlib import Path

from sphinx.application import Sphinx

from .execute import executed
from .translation import shares


def write(app: Sphinx, _: Exception | None) -> None:
    blocks = sum(count for _, count in executed(app.env).values())
    found = {"pages": len(app.env.all_docs), "blocks": blocks}
    if app.config.language != "en":
        found["translated"] = shares(app)
    (Path(app.doctreedir) / "numbers.json").write_text(json.dumps(found), encoding="utf-8")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", write, priority=100)  # before what may refuse the build
