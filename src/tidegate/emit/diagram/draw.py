"""A diagram as SVG: lines with round corners, boxes, text that stays text."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from tidegate.cell.graph import Graph
from tidegate.emit.diagram import label
from tidegate.emit.diagram.box import CIRCLE, LAYER, PILL, VALUE
from tidegate.emit.diagram.grid import STEPS
from tidegate.emit.diagram.picture import RADIUS, Picture, Place, Rectangle, Stroke
from tidegate.emit.diagram.place import JOIN, Item
from tidegate.emit.equation import check_length, plain
from tidegate.errors import visible

CORNER, ARROW = 5.0, 6.5  # the radius of a corner, and the length of a head
NOTE = 22.0  # pixels of a line of notes
TONES = {LAYER: "#d99a1c", PILL: "#c9598a", CIRCLE: "#c9598a", VALUE: "#4f86cc"}  # readable on white and on black
ROUND = {LAYER: 4, PILL: 12, VALUE: 2}
FONT = "STIX Two Text, Latin Modern Roman, Cambria, Times New Roman, serif"
ALONE = (
    "<style>.cell-diagram{color:#1c2430;background:#fff}"
    "@media(prefers-color-scheme:dark){.cell-diagram{color:#dfe4ea;background:#14181d}}</style>"
)


def svg(graph: Graph, *, page: bool = False) -> str:
    """A cell drawn as in textbooks, as the text of an SVG.

    States that are carried on run along the top, from their old values at the left to their new ones at the right;
    the others run below the layers, and the input comes from below. A rectangle is a layer: a matrix times each value
    that enters from below, with its bias, and plainly what enters from the side, added up and put through the function
    that stands in it. A thick line is several values side by side. Circles and pills work on each unit by itself.

    The same graph gives the same text. No line runs through a box or along another line, and no text lies on another.
    It holds no script, no identifier and no address of anything that would be loaded; the title is the cell's name,
    the description its equations.

    Args:
        graph: the cell, such as ``tg.zoo.LSTM.graph``.
        page: whether it will be a part of a page: it then has the page's own colour of text on the page's ground. A
            file of its own is dark where the reader's other windows are.

    Returns:
        One ``<svg>`` of class ``cell-diagram``, with its width and height in pixels.

    Raises:
        EmitError: the cell is larger than anybody could read.

    Example:
        >>> from tidegate.emit import diagram
        >>> from tidegate.zoo import LSTM
        >>> text = diagram.svg(LSTM.graph)
        >>> text[text.index("<title>") : text.index("<desc>")]
        '<title>LSTM</title>'
    """
    check_length(graph)
    picture = Picture(graph)
    body = [part for stroke in picture.strokes for part in _drawn_line(stroke)]
    for item, box, name in zip(picture.items, picture.boxes, picture.names, strict=True):
        body += _drawn_item(item, box, name)
    high = picture.height + NOTE * len(picture.notes)
    for place, (name_, formula) in enumerate(picture.notes):
        body.append(_text((14, picture.height + NOTE * place + 8), f"{name_} = {formula}", "start"))
    wide = max([picture.width, *(label.width(f"{n} = {text}") + 28 for n, text in picture.notes)])
    size = f'width="{_n(wide)}" height="{_n(high)}" viewBox="0 0 {_n(wide)} {_n(high)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="cell-diagram" role="img" {size} fill="none">'
    words = f"<title>{_escaped(visible(graph.name))}</title><desc>{_escaped(plain(graph))}</desc>"
    group = f'<g font-family="{FONT}" font-size="{_n(label.SIZE)}">'
    return "\n".join([head, words, *([] if page else [ALONE]), group, *body, "</g>", "</svg>", ""])


def _escaped(text: str) -> str:
    return escape(text, quote=False)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _drawn_line(stroke: Stroke) -> Iterator[str]:
    wide, dot = (2.6, 3.4) if stroke.thick else (1.3, 2.6)
    path = "".join(map(_path, stroke.paths))
    yield f'<path d="{path}" stroke="currentColor" stroke-width="{wide}"/>'
    for x, y in stroke.branches:
        yield f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{dot}" fill="currentColor"/>'
    for (x, y), side in stroke.ends:
        right, down = (step * ARROW for step in STEPS[side])
        corners = [(x, y), (x + right + down / 2, y + down + right / 2), (x + right - down / 2, y + down - right / 2)]
        yield f'<path d="M{"L".join(f"{_n(a)} {_n(b)}" for a, b in corners)}Z" fill="currentColor"/>'


def _path(corners: list[Place]) -> str:
    """A path with round corners."""
    parts = [f"M{_n(corners[0][0])} {_n(corners[0][1])}"]
    for (ax, ay), (bx, by), (cx, cy) in zip(corners, corners[1:], corners[2:], strict=False):
        first, second = abs(ax - bx) + abs(ay - by), abs(cx - bx) + abs(cy - by)
        r = min(CORNER, first / 2, second / 2)
        start = bx + (ax - bx) / first * r, by + (ay - by) / first * r
        end = bx + (cx - bx) / second * r, by + (cy - by) / second * r
        parts.append(f"L{_n(start[0])} {_n(start[1])}Q{_n(bx)} {_n(by)} {_n(end[0])} {_n(end[1])}")
    return "".join([*parts, f"L{_n(corners[-1][0])} {_n(corners[-1][1])}"])


def _text(place: Place, text: str, anchor: str = "middle") -> str:
    x, y = place
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}" fill="currentColor">{label.svg(text)}</text>'


def _drawn_item(item: Item, box: Rectangle, name: Rectangle | None) -> Iterator[str]:
    x, y = box.centre
    look = f'fill="{(tone := TONES.get(item.kind, ""))}" fill-opacity=".2" stroke="{tone}"'
    if item.kind == CIRCLE:
        yield f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(RADIUS)}" {look}/>'
    elif item.kind == JOIN:
        yield f'<path d="M{_n(x)} {_n(box.top)}V{_n(box.bottom)}" stroke="currentColor" stroke-width="4"/>'
    elif item.kind in ROUND:
        size = f'width="{_n(box.right - box.left)}" height="{_n(box.bottom - box.top)}" rx="{ROUND[item.kind]}"'
        yield f'<rect x="{_n(box.left)}" y="{_n(box.top)}" {size} {look}/>'
    if item.text:
        yield _text((x, y + 5), item.text)
    if name:
        yield _text((name.left, name.bottom - 3), item.name, "start")
