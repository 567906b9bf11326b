"""How a cell is recognised: a colour, a mark, a line style and a short name, the same in every figure.

Figures are drawn in placeholder colours, which ``figure.svg`` turns into CSS variables, so that
one drawing serves the light page, the dark page and paper.
"""

from __future__ import annotations

from collections.abc import Sequence

COLOURS = 8  # as many hues as stay apart for colour-blind readers; marks and dashes tell the rest apart
INK, MUTED, GRID, SURFACE, BAND = "#010101", "#020202", "#030303", "#040404", "#050505"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", SURFACE: "surface", BAND: "band"}
VARIABLES |= {f"#0a0a{index:02x}": f"series-{index}" for index in range(COLOURS)}

MARKS = {  # matplotlib's mark, and the same mark as a path in a box of 12 by 12
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
    """The placeholder colour of the cell at this place in the record."""
    return f"#0a0a{index % COLOURS:02x}"


def mark(index: int) -> str:
    """Its mark; cells that share a colour have different ones."""
    marks = list(MARKS)
    return marks[(index + 3 * (index // COLOURS)) % len(marks)]


def dash(index: int) -> tuple[int, tuple[float, ...]] | str:
    """Its line style; cells that share a colour have different ones."""
    return DASHES[(index // COLOURS) % len(DASHES)]


def key(index: int) -> dict[str, str | int]:
    """What the page needs to draw the same mark beside a name."""
    return {"series": index, "colour": f"series-{index % COLOURS}", "path": MARKS[mark(index)]}


def short_names(names: Sequence[str], width: int = 24) -> list[str]:
    """Names that fit into a figure and are still different from each other."""
    short = [_middle_cut(name, width) for name in names]
    return [
        text if short.count(text) == 1 else f"{_middle_cut(name, width - 4)} #{place + 1}"
        for place, (name, text) in enumerate(zip(names, short, strict=True))
    ]


def _middle_cut(name: str, width: int) -> str:
    name = " ".join(name.split())
    if len(name) <= width:
        return name
    front = (width - 1 + 1) // 2
    return f"{name[:front]}…{name[-(width - 1 - front) :]}"
