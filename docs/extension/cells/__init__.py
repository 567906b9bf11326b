"""One page for each cell of the zoo, and directives that show a cell on any page: all from its definition."""

from __future__ import annotations

from sphinx.application import Sphinx

from . import directive, source


def setup(app: Sphinx) -> None:
    directive.setup(app)
    source.setup(app)
