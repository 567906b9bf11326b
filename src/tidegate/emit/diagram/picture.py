"""Where all of a diagram stands, in pixels."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from tidegate.cell.graph import Graph
from tidegate.emit.diagram import label
from tidegate.emit.diagram.box import CIRCLE, LAYER, PILL, VALUE, Reading
from tidegate.emit.diagram.grid import Pin, Point
from tidegate.emit.diagram.place import BELOW, ENTRY, EXIT, JOIN, Item, Line, Placing, Plan
from tidegate.emit.diagram.route import Router, Way, routed
from tidegate.errors import EmitError

TRACK, PITCH, LEAST_GAP, MARGIN = 11.0, 12.0, 14.0, 10.0  # between lines, pins and boxes, and around everything
COLUMN, UNUSUAL = 60, 400  # what a column costs, and a plan that changes the order of the equations
PLANS = (Plan(beneath=True, backwards=False), Plan(beneath=False, backwards=False), Plan(beneath=True, backwards=True))
RADIUS = 11.0  # of a circle
CAP = 17.0  # room for a name above its box
HEIGHTS = {LAYER: 32.0, PILL: 24.0, CIRCLE: 2 * RADIUS, VALUE: 24.0, ENTRY: 20.0, EXIT: 20.0, BELOW: 22.0}

Place = tuple[float, float]


class Rectangle(NamedTuple):
    """A part of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def centre(self) -> Place:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


def width_of(item: Item) -> float:
    """What an item takes from left to right."""
    text = label.width(item.text)
    if item.kind == LAYER:
        return max(40.0, text + 14, PITCH * (item.feet + 1))
    wide = {PILL: max(30.0, text + 16), CIRCLE: 2 * RADIUS, JOIN: 4.0}
    return wide.get(item.kind, text + 8)


@dataclass
class Stroke:
    """A line of the diagram.

    Attributes:
        paths: the corners of each piece between ends and branches.
        branches: where it branches.
        ends: where it enters, each with the side.
        thick: whether it is several values side by side.
    """

    paths: list[list[Place]]
    branches: list[Place]
    ends: list[tuple[Place, str]]
    thick: bool


def _best(reading: Reading) -> Router:
    """The cheapest ways of all plans.

    Raises:
        EmitError: no plan leaves room for all lines.
    """
    found: dict[tuple[tuple[float, int], ...], tuple[int, Router]] = {}
    for plan in PLANS:
        placing = Placing(reading, plan)
        places = tuple((item.column, item.row) for item in placing.items)
        router = routed(placing.items, placing.lines) if places not in found else None
        if router:
            unusual = UNUSUAL * (plan.backwards + (not plan.beneath))
            found[places] = router.cost + COLUMN * len(router.grid.columns) + unusual, router
    if not found:
        text = f"no diagram of {reading.graph.name} was found in which its {len(reading.boxes)} boxes keep apart"
        raise EmitError("DIAGRAM_ROOM", text, fix="print its equations: tidegate cells, or emit.equation.plain")
    _, best = min(found.values(), key=lambda pair: pair[0])
    best.improve()
    return best


class Picture:
    """A diagram with every place in pixels.

    Attributes:
        items: all boxes, and what enters and leaves.
        boxes: where each item stands.
        names: where the name beside each item stands; None for those without one.
        strokes: all lines.
        notes: what long formulas are called, and those formulas.
        width, height: of the whole.
    """

    def __init__(self, graph: Graph) -> None:
        reading = Reading(graph)
        router = _best(reading)
        self.items = router.items
        self.notes = [(name, text) for name, (_, text) in reading.letters.items()]
        self._router = router
        self._measure(list(self._router.ways.values()))
        placed = [self._placed(item) for item in self.items]
        self.boxes, self.names = [box for box, _ in placed], [name for _, name in placed]
        grid = self._router.grid
        self._owner = {
            (x, y): number
            for number, item in enumerate(self.items)
            for x in grid.columns[int(item.column)]
            for y in grid.rows[item.row]
        }
        self.strokes = [self._stroke(line, self._router.ways[k]) for k, line in enumerate(router.lines)]

    def _measure(self, ways: list[Way]) -> None:
        """Pixels of the grid's lines."""
        grid = self._router.grid
        pieces = [piece for way in ways for piece in way.pieces]
        upright = {x for (x, y), (_, y2) in pieces if y != y2}
        level = {y for (x, y), (x2, _) in pieces if x != x2}
        left, right, above, below = (defaultdict[int, float](float) for _ in range(4))
        for item in self.items:
            column, half, rise = int(item.column), width_of(item) / 2, self._height(item) / 2
            left[column] = max(left[column], half)
            right[column] = max(right[column], half, label.width(item.name) + RADIUS if item.name else 0)
            above[item.row] = max(above[item.row], rise + (CAP if item.name else 0))
            below[item.row] = max(below[item.row], rise)
        self.x, self.width = _places(grid.columns, left, right, upright, grid.tracks)
        self.y, self.height = _places(grid.rows, above, below, level, grid.tracks)

    def _height(self, item: Item) -> float:
        return PITCH * (len(self._router.grid.rows[item.row]) - 1) + 4 if item.kind == JOIN else HEIGHTS[item.kind]

    def _placed(self, item: Item) -> tuple[Rectangle, Rectangle | None]:
        """An item and the name beside it."""
        columns, rows = self._router.grid.columns[int(item.column)], self._router.grid.rows[item.row]
        x, y = self.x[columns[len(columns) // 2]], self.y[rows[len(rows) // 2]]
        wide, high = width_of(item) / 2, self._height(item)
        box = Rectangle(x - wide, y - high / 2, x + wide, y + high / 2)
        if item.kind in {ENTRY, EXIT}:  # their lines begin, and end, below one another
            aside = max(width_of(other) / 2 for other in self.items if other.kind == item.kind) - wide
            aside *= 1 if item.kind == ENTRY else -1
            box = box._replace(left=box.left + aside, right=box.right + aside)
        if not item.name:
            return box, None
        right, up = (7, 0) if item.kind == CIRCLE else (5, 2)
        return box, Rectangle(x + right, box.top - up - 13, x + right + label.width(item.name), box.top - up)

    def _point(self, point: Point) -> Place:
        return self.x[point[0]], self.y[point[1]]

    def _touch(self, pin: Pin) -> Place:
        """Where a line touches the outline of an item."""
        box, (x, y) = self.boxes[self._owner[pin.point]], self._point(pin.point)
        return {"L": (box.left, y), "R": (box.right, y), "T": (x, box.top), "B": (x, box.bottom)}[pin.side]

    def _stroke(self, line: Line, way: Way) -> Stroke:
        assert way.start is not None
        next_to: defaultdict[Point, list[Point]] = defaultdict(list)
        for first, second in sorted(way.pieces):
            next_to[first].append(second)
            next_to[second].append(first)
        pins = {pin.point: pin for pin in (way.start, *way.ends)}
        paths = [
            [self._touch(pins[point]) if point in pins else self._point(point) for point in corners]
            for corners in _paths(next_to, set(pins), way.start.point)
        ]
        branches = [self._point(point) for point, others in sorted(next_to.items()) if len(others) > 2]
        entered = zip(way.ends, line.ends, strict=True)
        ends = [(self._touch(pin), pin.side) for pin, (item, _) in entered if item.kind != JOIN]
        return Stroke(paths, branches, ends, line.thick)


def _paths(next_to: dict[Point, list[Point]], pins: set[Point], start: Point) -> list[list[Point]]:
    """The pieces of a line between its ends and branches, each as its corners."""
    stops = {point for point, others in next_to.items() if len(others) != 2 or point in pins}
    found: list[list[Point]] = []
    walked: set[tuple[Point, Point]] = set()
    for stop in sorted(stops, key=lambda point: (point != start, point)):
        for other in next_to[stop]:
            if (stop, other) in walked:
                continue
            path = [stop, other]
            while path[-1] not in stops:
                path.append(next(point for point in next_to[path[-1]] if point != path[-2]))
            walked.add((path[-1], path[-2]))
            straight = zip(path, path[1:], path[2:], strict=False)
            found.append([path[0], *(b for a, b, c in straight if (a[0] == b[0]) != (b[0] == c[0])), path[-1]])
    return found


def _places(
    lines: list[range], before: dict[int, float], after: dict[int, float], used: set[int], tracks: int
) -> tuple[dict[int, float], float]:
    """Pixels of the grid's lines in one direction; tracks that nothing runs along take no room."""
    places: dict[int, float] = {}
    at = MARGIN
    for k, own in enumerate(lines):
        gap = [track for track in range(own[0] - tracks, own[0]) if track in used]
        room = max(LEAST_GAP * (k > 0), TRACK * (len(gap) + 1) if gap else 0)
        for place, track in enumerate(gap, 1):
            places[track] = at + room * place / (len(gap) + 1)
        pins = PITCH * (len(own) // 2)
        centre = at + room + max(before[k], pins if {own[0], own[-1]} & used else 0)
        places |= {line: centre + PITCH * (line - own[len(own) // 2]) for line in own}
        at = centre + max(after[k], pins if {own[0], own[-1]} & used else 0)
    return places, at + MARGIN
