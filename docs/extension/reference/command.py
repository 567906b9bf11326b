"""``{command} VERB``: what ``tidegate VERB --help`` prints, as text and a table of its arguments."""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from unittest.mock import patch

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tidegate import cli

from .table import paragraph, table

BOX = re.compile(r"^ (\w[\w ]*?) *\n -+ *\n", re.MULTILINE)  # the head of a group of arguments
SHOWN = ("positional arguments", "options")  # not the settings of a training, which have a page of their own
ARGUMENT = re.compile(r"(\S.*?)(?:  +(.*))?$")


class Command(SphinxDirective):
    """One verb of the command line."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        usage, texts, arguments = parted(printed(self.arguments[0].split()))
        shown: list[nodes.Node] = [nodes.literal_block(usage, usage, language="text"), *map(paragraph, texts)]
        return [*shown, table(("argument", "says"), arguments, (30, 70))] if arguments else shown


def printed(words: list[str]) -> str:
    """What the help of a command prints on a screen without end."""
    out = io.StringIO()
    screen = {"COLUMNS": "4000", "NO_COLOR": "1"}
    with patch.dict(os.environ, screen), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        cli.main([*words, "--help"])
    return out.getvalue()


def parted(text: str) -> tuple[str, list[str], list[tuple[str, str]]]:
    """Usage, description and arguments with their help."""
    head, *boxes = BOX.split(text)
    usage, *texts = [part.strip() for part in head.split("\n\n") if part.strip()]
    groups = [body for title, body in zip(boxes[::2], boxes[1::2], strict=True) if title in SHOWN]
    arguments = [argument for body in groups for argument in read(body)]
    return usage.removeprefix("usage: "), texts, [pair for pair in arguments if not pair[0].startswith("``-h")]


def read(body: str) -> Iterator[tuple[str, str]]:
    """The arguments of a group: each begins two columns from the left, its help goes on further right."""
    for argument in re.split(r"^  (?! )", body, flags=re.MULTILINE)[1:]:
        first, *more = argument.rstrip().split("\n")
        found = ARGUMENT.match(first)
        assert found is not None
        yield f"``{found[1]}``", " ".join(" ".join([found[2] or "", *more]).split())


def setup(app: Sphinx) -> None:
    app.add_directive("command", Command)
