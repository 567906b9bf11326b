"""LaTeX as MathML: browsers show it without a script, a font or a request."""

import re

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

SIGN = re.compile(r"((?:<mo[^>]*>(?:&#x00028;|\(|&#x0003D;|=|,)</mo>|<mrow>|<mi />))<mo>(?=&#x02212;</mo>)")
PRIME = "<mi>(&#x0?203[234];)</mi>"
LETTER, INDEX = "(<mi>[^<]*</mi>)", "(<mrow>(?:(?!msubsup).)*?</mrow>|<mi>[^<]*</mi>)"
BESIDE = r'<mrow>\1<mo lspace="0" rspace="0">\2</mo></mrow>'  # a raised prime would be tiny
WITH_INDEX = r'<msub><mrow>\1<mo lspace="0" rspace="0">\3</mo></mrow>\2</msub>'
PRIMES = (
    (re.compile(f"<msup>{LETTER}{PRIME}</msup>"), BESIDE),
    (re.compile(f"<msubsup>{LETTER}{INDEX}{PRIME}</msubsup>"), WITH_INDEX),
)


def mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    """An equation as browsers draw it.

    Raises:
        ExtensionError: it has LaTeX that cannot be converted.
    """
    try:
        return polished(convert(node.astext(), display=display))
    except Exception as error:
        what = f"{node.source}, line {node.line}: {node.astext()!r} cannot be converted to MathML"
        raise ExtensionError(f"{what}: {type(error).__name__} {error}") from error


def polished(text: str) -> str:
    """Primes of full size, and a minus that begins something without the gap of a difference."""
    text = SIGN.sub(r'\1<mo form="prefix">', text)
    for pattern, form in PRIMES:
        text = pattern.sub(form, text)
    return text


def inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{mathml(node, "block")}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
