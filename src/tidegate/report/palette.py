"""The colour, mark, line style and short name of each cell, the same in every figure.

Figures are drawn in placeholder colours, which ``figure.svg`` turns into CSS variables, so that the same drawing
works on a light page, on a dark page and on paper.
"""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = 8  # hues that colour-blind readers can distinguish; marks and dashes distinguish further cells
INK, MUTED, GRID, SURFACE, BAND = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", SURFACE: "surface", BAND: "band"}
VARIABLES |= {f"#0a0a{index:02x}": f"series-{index}" for index in range(COLOURS)}

MARKS = {  # matplotlib's marker, and the same shape as a path in a box of 12 x 12
    "o": "M6 2a4 4 0 1 0 0 8a4 4 0 1 0 0-8z",
    "s": "M2.5 2.5h7v7h-7z",
    "^": "M6 1.7L10.3 9.6H1.7z",
    "D": "M6 1.2L10.8 6L6 10.8L1.2 6z",
    "v": "M6 10.3L1.7 2.4h8.6z",
    "P": "M4.5 1.5h3v3h3v3h-3v3h-3v-3h-3v-3h3z",
    "X": "M3.5 1.5L6 4L8.5 1.5L10.5 3.5L8 6L10.5 8.5L8.5 10.5L6 8L3.5 10.5L1.5 8.5L4 6L1.5 3.5z",
    "p": "M6 1.5L10.6 4.8L8.8 10.2H3.2L1.4 4.8z",
}
DASHES: tuple[tuple[int, tuple[float, ...]] | str, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.2)), (0, (6, 1.5, 1.3, 1.5)))


def colour(index: int) -> str:
    """The placeholder colour of the cell with this index in the record."""
    return f"#0a0a{index % COLOURS:02x}"


def mark(index: int) -> str:
    """The marker of this cell; cells with the same colour have different markers."""
    marks = list(MARKS)
    return marks[(index + 3 * (index // COLOURS)) % len(marks)]


def dash(index: int) -> tuple[int, tuple[float, ...]] | str:
    """The line style of this cell; cells with the same colour have different styles."""
    return DASHES[(index // COLOURS) % len(DASHES)]


def key(index: int) -> dict[str, str | int]:
    """What the page needs to draw the same mark next to a name."""
    return {"series": index, "colour": f"series-{index % COLOURS}", "path": MARKS[mark(index)]}


def short_names(names: Sequence[str], width: int = 24) -> list[str]:
    """Names that fit into a figure and remain distinct."""
    short = [_middle_cut(name, width) for name in names]
    return [
        text if short.count(text) == 1 else f"{_middle_cut(name, width - 4)} #{index + 1}"
        for index, (name, text) in enumerate(zip(names, short, strict=True))
    ]


def _middle_cut(name: str, width: int) -> str:
    name = " ".join(name.split())
    if len(name) <= width:
        return name
    front = (width - 1 + 1) // 2
    return f"{name[:front]}…{name[-(width - 1 - front) :]}"
