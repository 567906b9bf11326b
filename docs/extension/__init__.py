"""The site's own part of Sphinx: mathematics without scripts, code that runs, pages made from definitions."""

from typing import Any

from sphinx.application import Sphinx

from . import cells, execute, mathematics, reference, results, sliders, translation


def setup(app: Sphinx) -> dict[str, Any]:
    mathematics.setup(app)
    execute.setup(app)
    results.setup(app)
    sliders.setup(app)
    translation.setup(app)
    cells.setup(app)
    reference.setup(app)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
