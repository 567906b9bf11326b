"""Equations of cells, typeset by matplotlib's mathtext; all cells share the glyphs."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import matplotlib.style
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tidegate.cell.graph import Graph
from tidegate.emit import latex
from tidegate.emit.equation import plain
from tidegate.errors import SpecError

SIZE = 0.17  # pixels of the page per unit of a glyph
LEAD, GAP, PAD = 27, 5, 6  # pixels between lines, after the equals sign and around the block
COMMANDS = {1: "M", 2: "L", 3: "Q", 4: "C"}
POINTS = {1: 1, 2: 1, 3: 2, 4: 3}
CLOSE = 79


@dataclass(frozen=True)
class Equations:
    """The equations of one cell; ``svg`` is empty if mathtext cannot set them."""

    svg: str
    latex: str
    problem: str = ""


@dataclass
class Typesetter:
    """Typesets equations and remembers the glyphs."""

    glyphs: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def cell(self, data: Mapping[str, Any]) -> Equations:
        """The equations of a cell from its graph as data."""
        try:
            graph = Graph.from_json(dict(data))
            source = latex.align(graph)
        except SpecError as error:
            return Equations("", "", str(error))
        try:
            return Equations(self._block(latex.lines(graph), plain(graph).replace("\n", "; ")), source)
        except ValueError as error:
            return Equations("", source, f"mathtext cannot set them: {error}")

    def defs(self) -> str:
        """The glyphs, which the page includes once."""
        used = {name: glyph for glyph, name in self.names.items()}
        paths = "".join(f'<path id="{name}" d="{_outline(*self.glyphs[glyph])}"/>' for name, glyph in used.items())
        return f'<svg class="glyphs" width="0" height="0" aria-hidden="true"><defs>{paths}</defs></svg>'

    def _block(self, lines: list[str], spoken: str) -> str:
        pairs = [line.split(" = ", 1) for line in lines]
        sides = [(self._set(f"{left} ="), self._set(right)) for left, right in pairs]
        margin = max(width for (_, width), _ in sides)
        right = margin + GAP + max(width for _, (_, width) in sides)
        rows = "".join(
            f'<g transform="translate({margin - width:.1f} {LEAD * row + 20})">{left}</g>'
            f'<g transform="translate({margin + GAP:.1f} {LEAD * row + 20})">{body}</g>'
            for row, ((left, width), (body, _)) in enumerate(sides)
        )
        wide, high = round(right + PAD), LEAD * len(lines) + PAD
        return (
            f'<svg class="equations" role="img" aria-label="{html.escape(spoken)}" width="{wide}" height="{high}" '
            f'viewBox="0 0 {wide} {high}">{rows}</svg>'
        )

    def _set(self, source: str) -> tuple[str, float]:
        """One side of an equation, and its width."""
        text = _plainer(source)
        with matplotlib.style.context(["default", {"mathtext.fontset": "cm"}]):
            font = FontProperties(size=text_to_path.FONT_SCALE)
            width, *_ = text_to_path.mathtext_parser.parse(f"${text}$", text_to_path.DPI, font)
            placed, self.glyphs, bars = text_to_path.get_glyphs_mathtext(FontProperties(), f"${text}$", self.glyphs)
        uses = "".join(self._use(*glyph) for glyph in placed)
        return uses + "".join(f'<path d="{_outline(*bar, SIZE)}"/>' for bar in bars), float(width) * SIZE

    def _use(self, glyph: str, x: float, y: float, scale: float) -> str:
        name = self.names.setdefault(glyph, f"glyph-{len(self.names)}")
        at = f"{x * SIZE:.1f} {-y * SIZE:.1f}"
        return f'<use href="#{name}" transform="translate({at})scale({scale * SIZE:.3g})"/>'


def _plainer(text: str) -> str:
    """Mathtext shrinks stretching parentheses around low letters and sets a prime apart from its subscript."""
    if r"\frac" not in text:
        text = text.replace(r"\left(", "(").replace(r"\right)", ")")
    return text.replace("'_{", r"^{\prime}_{")


def _outline(vertices: Any, codes: Any, scale: float = 1.0) -> str:
    """A path of matplotlib as the ``d`` of SVG, with y growing downwards."""
    parts, place = [], 0
    points = [f"{x * scale:.4g} {-y * scale:.4g}" for x, y in vertices]
    while place < len(codes):
        code = int(codes[place])
        if code == CLOSE:
            parts.append("z")
            place += 1
            continue
        parts.append(COMMANDS[code] + " ".join(points[place : place + POINTS[code]]))
        place += POINTS[code]
    return "".join(parts)
