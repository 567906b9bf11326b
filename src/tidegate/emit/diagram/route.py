"""The way of each line: straight pieces on a grid that leaves boxes out.

The grid has lines through the pins of every row and column, and tracks between them. A piece of it belongs to one
line of the diagram; lines cross at right angles only, and turn or branch where no other passes. So nothing runs
through a box or along something else, whatever the cell. Where a way is not found there is room for more tracks.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tidegate.emit.diagram.place import JOIN, Item, Line
from tidegate.errors import EmitError

BEND, CROSSING, SIDE = 26, 34, 15  # what a turn, a crossing and a less natural side cost, in pixels of way
NEAR, MOST_TRACKS = 10, 24
STEPS = {"R": (1, 0), "L": (-1, 0), "B": (0, 1), "T": (0, -1)}
BACK = {"R": "L", "L": "R", "B": "T", "T": "B"}

Point = tuple[int, int]


class Pin(NamedTuple):
    """A point at which a line may touch an item, and the direction that leads away from it."""

    point: Point
    side: str


@dataclass
class Way:
    """What a line of the diagram runs along.

    Attributes:
        pieces: pairs of neighbouring points.
        start: where it leaves.
        ends: for each end of the line, where it enters.
    """

    pieces: set[tuple[Point, Point]] = field(default_factory=set)
    start: Pin | None = None
    ends: list[Pin] = field(default_factory=list)


class Grid:
    """Rows and columns of a diagram with ``tracks`` between each two.

    Attributes:
        columns, rows: for each, the places of the lines through it.
    """

    def __init__(self, items: list[Item], tracks: int) -> None:
        feet: defaultdict[int, int] = defaultdict(lambda: 1)
        hands: defaultdict[int, int] = defaultdict(lambda: 1)
        for item in items:
            if item.kind == JOIN:
                hands[item.row] = max(hands[item.row], item.feet - 2)
            else:
                feet[int(item.column)] = max(feet[int(item.column)], item.feet)
        self.tracks = tracks
        self.columns = _lines([feet[k] for k in range(1 + max(int(item.column) for item in items))], tracks)
        self.rows = _lines([hands[k] for k in range(1 + max(item.row for item in items))], tracks)
        self.size = self.columns[-1][-1] + tracks + 1, self.rows[-1][-1] + tracks + 1
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
            if side in "LR":
                places = rows if item.kind == JOIN and side == "L" else [y]
                ordered = sorted(places, key=lambda place: abs(place - y))
                found += [Pin((columns[0 if side == "L" else -1], place), side) for place in ordered]
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
    found, at = [], tracks
    for count in counts:
        lines = max(3, count + 1 - count % 2)
        found.append(range(at, at + lines))
        at += lines + tracks
    return found


class Router:
    """Finds the ways of all lines on one grid."""

    def __init__(self, items: list[Item], lines: list[Line], tracks: int) -> None:
        self.grid, self.lines = Grid(items, tracks), lines
        self.ways: dict[int, Way] = {}
        self.across: dict[Point, int] = {}  # the line that passes a point from left to right
        self.down: dict[Point, int] = {}  # and from top to bottom
        self.turns: dict[Point, int] = {}  # where a line turns, branches or ends

    def route(self, order: Iterable[int]) -> int | None:
        """Find the ways of lines in this order; the first that has none."""
        for number in order:
            way = self._way(number)
            if way is None:
                return number
            self.ways[number] = way
            self._mark(number, way)
        return None

    def again(self, number: int) -> None:
        """Find a better way for one line among all others."""
        old = self.ways.pop(number)
        for marks in (self.across, self.down, self.turns):
            for point in [point for point, owner in marks.items() if owner == number]:
                del marks[point]
        self.ways[number] = way = self._way(number) or old
        self._mark(number, way)

    def _mark(self, number: int, way: Way) -> None:
        seen: defaultdict[Point, set[str]] = defaultdict(set)
        for (x, y), (x2, y2) in way.pieces:
            marks = self.across if y == y2 else self.down
            for point in ((x, y), (x2, y2)):
                marks[point] = number
            direction = "R" if y == y2 else "B"
            seen[x, y].add(direction)
            seen[x2, y2].add(BACK[direction])
        for point, directions in seen.items():
            if directions not in ({"L", "R"}, {"T", "B"}):
                self.turns[point] = number

    def _way(self, number: int) -> Way | None:
        line, way = self.lines[number], Way()
        starts = self.grid.pins(line.source, line.sides)
        targets = [self.grid.pins(item, sides) for item, sides in line.ends]
        near = [_distance(starts[0].point, pins[0].point) for pins in targets]
        aside = [sides != "L" or item.row != line.source.row for item, sides in line.ends]
        order = sorted(range(len(targets)), key=lambda k: (aside[k], near[k]))
        found: dict[int, Pin] = {}
        for k in order:
            taken = set(found.values())
            free = [pin for pin in targets[k] if pin.point not in self.turns and pin not in taken]
            path = self._search(number, way, starts, free) if free else None
            if path is None:
                return None
            way.start = way.start or next(pin for pin in starts if pin.point == path[0])
            way.pieces |= {(min(pair), max(pair)) for pair in pairwise(path)}
            found[k] = next(pin for pin in free if pin.point == path[-1])
        way.ends = [found[k] for k in range(len(targets))]
        return way

    def _begin(self, number: int, way: Way, starts: list[Pin]) -> Iterator[tuple[int, Point, str]]:
        """Where a search may begin: at the pins of the source, or anywhere on the way so far."""
        if way.start is None:
            for rank, pin in enumerate(starts):
                if pin.point not in self.turns:
                    yield rank * SIDE, pin.point, pin.side
            return
        trunk = way.start.point[1]
        for point in sorted({point for piece in way.pieces for point in piece}):
            if point not in self.grid.blocked and not self._crossed(number, point):
                aside = 2 * BEND if self.lines[number].thick and point[1] != trunk else 0
                for side in STEPS:
                    yield aside, point, side

    def _crossed(self, number: int, point: Point) -> bool:
        return any(marks.get(point, number) != number for marks in (self.across, self.down, self.turns))

    def _search(self, number: int, way: Way, starts: list[Pin], targets: list[Pin]) -> list[Point] | None:
        goals = {(pin.point, BACK[pin.side]): rank * SIDE for rank, pin in enumerate(targets)}
        ends = [pin.point for pin in targets]
        own = {point for piece in way.pieces for point in piece}
        queue: list[tuple[int, int, Point, str]] = []
        costs: dict[tuple[Point, str], int] = {}
        came: dict[tuple[Point, str], tuple[Point, str]] = {}
        for cost, point, side in self._begin(number, way, starts):
            costs[point, side] = cost
            heapq.heappush(queue, (cost + _least(point, ends), cost, point, side))
        while queue:
            _, cost, point, side = heapq.heappop(queue)
            here = point, side
            if cost > costs[here]:
                continue
            if here in goals:
                return _path(here, came)
            for after, extra in self._steps(number, here, goals, own):
                new = cost + extra
                if new < costs.get(after, new + 1):
                    costs[after], came[after] = new, here
                    heapq.heappush(queue, (new + _least(after[0], ends), new, *after))
        return None

    def _steps(
        self, number: int, here: tuple[Point, str], goals: dict[tuple[Point, str], int], own: set[Point]
    ) -> Iterator[tuple[tuple[Point, str], int]]:
        """The neighbours of a point that a line may go on to, with what that costs."""
        (x, y), side = here
        in_box = (x, y) in self.grid.blocked
        may_turn = not in_box and not self._crossed(number, (x, y))
        for direction, (right, down) in STEPS.items():
            if direction == BACK[side] or (direction != side and not may_turn):
                continue
            point = x + right, y + down
            state = point, direction
            if not (0 <= point[0] < self.grid.size[0] and 0 <= point[1] < self.grid.size[1]):
                continue
            if (point in self.grid.blocked and state not in goals) or self.turns.get(point, number) != number:
                continue
            along, over = (self.across, self.down) if right else (self.down, self.across)
            if along.get(point, number) != number or along.get((x, y), number) != number or point in own:
                continue
            crossing = over.get(point, number) != number
            yield state, NEAR + BEND * (direction != side) + CROSSING * crossing + goals.get(state, 0)


def _distance(first: Point, second: Point) -> int:
    return abs(first[0] - second[0]) + abs(first[1] - second[1])


def _least(point: Point, ends: list[Point]) -> int:
    return NEAR * min(_distance(point, end) for end in ends)


def _path(here: tuple[Point, str], came: dict[tuple[Point, str], tuple[Point, str]]) -> list[Point]:
    path = [here[0]]
    while here in came:
        here = came[here]
        path.append(here[0])
    return path[::-1]


def routed(items: list[Item], lines: list[Line]) -> Router:
    """The ways of all lines.

    Raises:
        EmitError: there are more lines than any number of tracks has room for.
    """
    order = sorted(range(len(lines)), key=lambda k: _span(lines[k]))
    tracks = 3
    while tracks <= MOST_TRACKS:
        router = Router(items, lines, tracks)
        failed = router.route(order)
        if failed is None:
            for number in order:
                router.again(number)
            return router
        order = [failed, *(number for number in order if number != failed)]
        tracks += 1
    raise EmitError(
        "DIAGRAM_ROOM", f"there is no room for {len(lines)} lines between {len(items)} boxes", fix="print its equations"
    )


def _is_level(line: Line) -> bool:
    """Whether it is a part of a rail, which runs straight on."""
    return any(sides == "L" and item.row == line.source.row for item, sides in line.ends)


def _span(line: Line) -> tuple[bool, float]:
    """Rails first, then short lines before long ones."""
    longest = max(abs(item.column - line.source.column) + abs(item.row - line.source.row) for item, _ in line.ends)
    return not _is_level(line), longest
