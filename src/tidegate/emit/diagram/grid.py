"""The grid that lines run along: lines through the pins of every row and column, and tracks between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tidegate.emit.diagram.place import JOIN, Item

Point = tuple[int, int]
STEPS = {"R": (1, 0), "B": (0, 1), "L": (-1, 0), "T": (0, -1)}


class Pin(NamedTuple):
    """A point at which a line may touch an item, and the direction that leads away from it."""

    point: Point
    side: str


class Grid:
    """Rows and columns of a diagram with ``tracks`` between each two.

    Attributes:
        columns, rows: for each, the places of the lines through it.
        size: columns and rows of points, with a rim of one.
        blocked: the points that items cover.
    """

    def __init__(self, items: list[Item], tracks: int) -> None:
        feet: defaultdict[int, int] = defaultdict(lambda: 1)
        hands: defaultdict[int, int] = defaultdict(lambda: 1)
        for item in items:
            if item.kind == JOIN:
                hands[item.row] = max(hands[item.row], item.feet)
            else:
                feet[int(item.column)] = max(feet[int(item.column)], item.feet)
        self.tracks = tracks
        self.columns = _lines([feet[k] for k in range(1 + max(int(item.column) for item in items))], tracks)
        self.rows = _lines([hands[k] for k in range(1 + max(item.row for item in items))], tracks)
        self.size = self.columns[-1][-1] + tracks + 2, self.rows[-1][-1] + tracks + 2
        self.blocked = {point for item in items for point in self._covered(item)}

    def _covered(self, item: Item) -> Iterator[Point]:
        for x in self.columns[int(item.column)]:
            for y in self.rows[item.row]:
                yield x, y

    def pins(self, item: Item, sides: str) -> list[Pin]:
        """Where lines may touch an item, the best side first."""
        columns, rows = self.columns[int(item.column)], self.rows[item.row]
        x, y = columns[len(columns) // 2], rows[len(rows) // 2]
        found = []
        for side in sides:
            if side.isdigit():
                found.append(Pin((columns[0], _middle(list(rows), item.feet)[int(side)]), "L"))
            elif side in "LR":
                found.append(Pin((columns[0 if side == "L" else -1], y), side))
            else:
                several = item.feet > 1 and side == "B" and item.kind != JOIN
                feet = _middle(list(columns), item.feet) if several else [x]
                found += [Pin((place, rows[0 if side == "T" else -1]), side) for place in feet]
        return found


def _middle(places: list[int], count: int) -> list[int]:
    """As many places as there are feet, around the middle, an even number leaving it out."""
    if count >= len(places):
        return places
    half = count // 2
    centre = len(places) // 2
    return places[centre - half : centre] + places[centre : centre + 1] * (count % 2) + places[centre + 1 :][:half]


def _lines(counts: list[int], tracks: int) -> list[range]:
    """For each row or column, the places of an odd number of lines, at least three."""
    found, at = [], tracks + 1  # nothing runs along the rim
    for count in counts:
        lines = max(3, count + 1 - count % 2)
        found.append(range(at, at + lines))
        at += lines + tracks
    return found
