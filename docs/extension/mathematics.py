"""LaTeX as MathML: browsers show it without a script, a font or a request."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

PRIME = re.compile(r"<mi>(&#x0?203[234];)</mi>")  # an identifier to latex2mathml, which browsers draw small


def mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    """An equation as browsers draw it.

    Raises:
        ExtensionError: it has LaTeX that cannot be converted.
    """
    try:
        return PRIME.sub(r"<mo>\1</mo>", convert(node.astext(), display=display))
    except Exception as error:
        what = f"{node.source}, line {node.line}: {node.astext()!r} cannot be converted to MathML"
        raise ExtensionError(f"{what}: {type(error).__name__} {error}") from error


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
