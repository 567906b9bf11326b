"""The site's own part of Sphinx: mathematics without scripts, code that runs, pages made from definitions."""

from typing import Any

from sphinx.application import Sphinx

from . import cells, chinese, execute, mathematics, numbers, reference, results, sliders, switch, translation

PARTS = (cells, chinese, execute, mathematics, numbers, reference, results, sliders, switch, translation)


def setup(app: Sphinx) -> dict[str, Any]:
    for part in PARTS:
        part.setup(app)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
