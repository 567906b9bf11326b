"""The reference: pages from docstrings, from the parser of the command line, from settings and from errors."""

from sphinx.application import Sphinx

from . import api, command, docstring, error, setting


def setup(app: Sphinx) -> None:
    for part in (api, command, docstring, error, setting):
        part.setup(app)
