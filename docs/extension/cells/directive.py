"""``{equations} NAME``, ``{diagram} NAME`` and ``{counts} NAME ...``: a cell on any page."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tidegate.cell import Cell
from tidegate.emit import diagram, latex
from tidegate.errors import InputError
from tidegate.zoo import find

from .counts import counts_table
from .language import Language, catalogue_of
from .pulse import caption, pulse, svg


class CellDirective(SphinxDirective):
    """A directive whose arguments are names of cells."""

    required_arguments = 1
    optional_arguments = 0
    final_argument_whitespace = True

    @property
    def cells(self) -> list[type[Cell]]:
        """The cells that are named.

        Raises:
            DirectiveError: there is no such cell.
        """
        names = self.arguments[0].split()
        try:
            cells = [find(name) for name in names]
        except InputError as error:
            raise self.error(error.message) from error
        for cell in cells:
            self.env.note_dependency(inspect.getfile(cell))
        return cells

    @property
    def say(self) -> Language:
        """The language of the build."""
        self.env.note_dependency(str(catalogue_of(self.config.language)))
        return Language.of(self.config.language)

    def markdown(self, text: str) -> list[nodes.Node]:
        """What a piece of Markdown is on this page."""
        source, _ = self.get_source_info()
        within = nodes.container()
        self.state.nested_parse(StringList(text.splitlines(), source), self.content_offset, within)
        return within.children


class Equations(CellDirective):
    """The equations of cells, as their graphs have them."""

    def run(self) -> Sequence[nodes.Node]:
        shown = [latex.align(cell.graph) for cell in self.cells]
        return [nodes.math_block(text, text, nowrap=True, number=None, label=None) for text in shown]


class Diagram(CellDirective):
    """The graph of a cell as a drawing."""

    def run(self) -> Sequence[nodes.Node]:
        return [nodes.raw("", self.framed(cell), format="html") for cell in self.cells]

    @staticmethod
    def framed(cell: type[Cell]) -> str:
        """The drawing, which a narrow page may shrink by three tenths and then scrolls."""
        text = diagram.svg(cell.graph, page=True)
        least = 0.7 * float(text.partition('width="')[2].partition('"')[0])
        text = text.replace("<svg ", f'<svg style="min-width:{least:.0f}px" ', 1)
        return f'<div class="figure diagram" tabindex="0">{text}</div>'


class PulseFigure(CellDirective):
    """What a pulse leaves behind."""

    def run(self) -> Sequence[nodes.Node]:
        (cell,) = self.cells
        found = pulse(cell)
        drawn = svg(found, self.say)
        text = nodes.paragraph("", caption(found, self.say), translatable=False)
        return [nodes.raw("", f'<div class="figure">{drawn}</div>', format="html"), text]


class Counts(CellDirective):
    """A table of parameters and operations."""

    def run(self) -> Sequence[nodes.Node]:
        return self.markdown(counts_table(self.cells, self.say))


DIRECTIVES: dict[str, type[Directive]] = {
    "equations": Equations,
    "diagram": Diagram,
    "counts": Counts,
    "pulse": PulseFigure,
}


def setup(app: Sphinx) -> None:
    for name, directive in DIRECTIVES.items():
        app.add_directive(name, directive)
