"""The way of each line: straight pieces on a grid that leaves boxes out.

A piece of the grid belongs to one line; lines cross at right angles only, and turn or branch where no other passes. So
nothing runs through a box or along something else, whatever the cell. A line that finds no way takes others away,
which are then found anew.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from tidegate.emit.diagram.grid import STEPS, Grid, Pin, Point
from tidegate.emit.diagram.place import Item, Line

NEAR, BEND, CROSSING, SIDE = 10, 26, 34, 15  # what a step, a turn, a crossing and a less natural side cost
MOST_TRACKS = 6
PRICE, PATIENCE = 300, 8  # of going through another line; how often each line is found, in the mean
NOBODY = -1
STRAIGHT = ({"L", "R"}, {"T", "B"})
FAR = 1 << 40
SIDES = "".join(STEPS)  # directions by number; the one back is two further


@dataclass
class Way:
    """What a line of the diagram runs along.

    Attributes:
        pieces: pairs of neighbouring points.
        start: where it leaves.
        ends: for each end of the line, where it enters.
        cost: of all of it.
    """

    pieces: set[tuple[Point, Point]] = field(default_factory=set)
    start: Pin | None = None
    ends: list[Pin] = field(default_factory=list)
    cost: int = 0


class Router:
    """Finds the ways of all lines on one grid.

    A point is a number here, counted row by row, and so is a state of the search: a point and the direction in which
    it was reached.
    """

    def __init__(self, items: list[Item], lines: list[Line], tracks: int) -> None:
        self.grid, self.items, self.lines = Grid(items, tracks), items, lines
        self.ways: dict[int, Way] = {}
        self.wide, high = self.grid.size
        points = self.wide * high
        self.moves = [right + down * self.wide for right, down in STEPS.values()]
        self.across = [NOBODY] * points  # the line that passes a point from left to right
        self.down = [NOBODY] * points  # and from top to bottom
        self.turns = [NOBODY] * points  # where a line turns, branches or ends
        self.contested = [0] * points  # what going through another line costs in addition
        self.price = 0  # of going through another line; 0 where no line may
        self.late = [0] * self.wide  # a line turns up or down as early as it can, which leaves room for others
        for column in self.grid.columns:
            self.late[column[-1] + 1 : column[-1] + 1 + tracks] = range(tracks)
        self.blocked = bytearray(points)
        rim = {(x, y) for x in range(self.wide) for y in range(high) if x in {0, self.wide - 1} or y in {0, high - 1}}
        for point in self.grid.blocked | rim:
            self.blocked[self._number(point)] = 1

    def route(self, order: Iterable[int]) -> bool:
        """Find the ways of lines in this order; whether all were found.

        A line that finds none goes through others, which are then taken away and found anew.
        """
        waiting = deque(order)
        for _ in range(PATIENCE * len(waiting)):
            line = waiting.popleft()
            way = self._way(line)
            if way is None:
                self.price = PRICE
                way = self._way(line)
                self.price = 0
                if way is None:
                    return False
                for other in sorted(self._barring(line, way)):
                    self._remove(other)
                    waiting.append(other)
            self._keep(line, way)
            if not waiting:
                return True
        return False

    def _barring(self, line: int, way: Way) -> set[int]:
        """The lines that a way goes through; where it does, it costs more from now on."""
        found: set[int] = set()
        for point, directions in _directions(way).items():
            number = self._number(point)
            marks = (
                [self.turns]
                + [self.across] * bool(directions & {"L", "R"})
                + [self.down] * bool(directions & {"T", "B"})
            )
            straight = directions in STRAIGHT
            owners = {kind[number] for kind in (marks if straight else (self.turns, self.across, self.down))}
            if owners := owners - {NOBODY, line}:
                found |= owners
                self.contested[number] += PRICE
        return found

    def _remove(self, line: int) -> None:
        for piece in self.ways.pop(line).pieces:
            for point in map(self._number, piece):
                for marks in (self.across, self.down, self.turns):
                    marks[point] = NOBODY if marks[point] == line else marks[point]

    def improve(self) -> None:
        """Find each way once more, among all others."""
        for line in sorted(self.ways, key=lambda line: _span(self.lines[line])):
            self._again(line)

    def _again(self, line: int) -> None:
        old = self.ways[line]
        self._remove(line)
        self._keep(line, self._way(line) or old)

    @property
    def cost(self) -> int:
        """Of all ways."""
        return sum(way.cost for way in self.ways.values())

    def _number(self, point: Point) -> int:
        return point[0] + point[1] * self.wide

    def _point(self, number: int) -> Point:
        return number % self.wide, number // self.wide

    def _state(self, pin: Pin, *, entering: bool) -> int:
        side = SIDES.index(pin.side)
        return self._number(pin.point) * 4 + (side ^ 2 if entering else side)

    def _keep(self, line: int, way: Way) -> None:
        self.ways[line] = way
        for point, directions in _directions(way).items():
            number = self._number(point)
            if directions & {"L", "R"}:
                self.across[number] = line
            if directions & {"T", "B"}:
                self.down[number] = line
            if directions not in STRAIGHT:
                self.turns[number] = line

    def _way(self, line: int) -> Way | None:
        wanted, way = self.lines[line], Way()
        starts = self.grid.pins(wanted.source, wanted.sides)
        targets = [self.grid.pins(item, sides) for item, sides in wanted.ends]
        near = [_distance(starts[0].point, pins[0].point) for pins in targets]
        aside = [sides != "L" or item.row != wanted.source.row for item, sides in wanted.ends]
        found: dict[int, Pin] = {}
        for k in sorted(range(len(targets)), key=lambda k: (aside[k], near[k])):
            taken = set(found.values())
            free = [pin for pin in targets[k] if self._is_free(pin) and pin not in taken]
            path, cost = self._search(line, self._begin(line, way, starts), free, _points(way)) if free else ([], 0)
            if not path:
                return None
            way.start = way.start or next(pin for pin in starts if pin.point == path[0])
            way.pieces |= {(min(pair), max(pair)) for pair in pairwise(path)}
            way.cost += cost
            found[k] = next(pin for pin in free if pin.point == path[-1])
        way.ends = [found[k] for k in range(len(targets))]
        return way

    def _begin(self, line: int, way: Way, starts: list[Pin]) -> dict[int, int]:
        """States in which a search may begin, with their costs: pins of the source, or anywhere on the way so far."""
        if way.start is None:
            free = [pin for pin in starts if self._is_free(pin)]
            return {self._state(pin, entering=False): starts.index(pin) * SIDE for pin in free}
        trunk, found = way.start.point[1], dict[int, int]()
        for point in sorted(_points(way)):
            number = self._number(point)
            if not self.blocked[number] and self._is_own(line, number):
                aside = 2 * BEND if self.lines[line].thick and point[1] != trunk else 0
                found |= {number * 4 + side: aside for side in range(4)}
        return found

    def _is_free(self, pin: Pin) -> bool:
        return self.price > 0 or self.turns[self._number(pin.point)] == NOBODY

    def _is_own(self, line: int, point: int) -> bool:
        """Whether no other line passes a point."""
        ours = (NOBODY, line)
        return self.across[point] in ours and self.down[point] in ours and self.turns[point] in ours

    def _search(self, line: int, begin: dict[int, int], targets: list[Pin], own: set[Point]) -> tuple[list[Point], int]:
        """The cheapest way to one of the targets, and its cost; empty if there is none."""
        goals = {self._state(pin, entering=True): rank * SIDE for rank, pin in enumerate(targets)}
        least_x, least_y = self._least(targets)
        covered = {self._number(point) for point in own}
        costs, came = [FAR] * (4 * len(self.blocked)), dict[int, int]()
        queue: list[tuple[int, int, int]] = []
        for state, cost in begin.items():
            costs[state] = cost
            x, y = self._point(state >> 2)
            heapq.heappush(queue, (cost + least_x[x] + least_y[y], cost, state))
        while queue:
            _, cost, state = heapq.heappop(queue)
            if cost > costs[state]:
                continue
            if state in goals:
                return self._path(state, came), cost
            for after, extra in self._steps(line, state, goals):
                if cost + extra < costs[after] and after >> 2 not in covered:
                    costs[after], came[after] = cost + extra, state
                    x, y = self._point(after >> 2)
                    heapq.heappush(queue, (cost + extra + least_x[x] + least_y[y], cost + extra, after))
        return [], 0

    def _steps(self, line: int, state: int, goals: dict[int, int]) -> list[tuple[int, int]]:
        """The states that a line may go on to, with what that costs."""
        point, side = state >> 2, state & 3
        own = self._is_own(line, point)
        ours, found = (NOBODY, line), []
        for direction in (side, side ^ 1, side ^ 3) if not self.blocked[point] and (own or self.price) else (side,):
            to = point + self.moves[direction]
            after = to * 4 + direction
            along, over = (self.down, self.across) if direction & 1 else (self.across, self.down)
            if self.blocked[to] and after not in goals:
                continue
            barred = self.turns[to] not in ours or along[to] not in ours or along[point] not in ours
            turns = direction != side
            if barred and not self.price:
                continue
            cost = NEAR + goals.get(after, 0) + (CROSSING if over[to] not in ours else 0)
            cost += BEND + self.late[point % self.wide] * (direction & 1) if turns else 0
            if barred or (turns and not own):
                cost += self.price + self.contested[to]
            found.append((after, cost))
        return found

    def _least(self, targets: list[Pin]) -> tuple[list[int], list[int]]:
        """The least cost to the targets from each column and each row."""
        across, down = ([pin.point[k] for pin in targets] for k in range(2))
        return tuple(  # type: ignore[return-value]
            [NEAR * max(0, min(places) - place, place - max(places)) for place in range(size)]
            for places, size in zip((across, down), self.grid.size, strict=True)
        )

    def _path(self, state: int, came: dict[int, int]) -> list[Point]:
        path = [self._point(state >> 2)]
        while state in came:
            state = came[state]
            path.append(self._point(state >> 2))
        return path[::-1]


def _points(way: Way) -> set[Point]:
    return {point for piece in way.pieces for point in piece}


def _distance(first: Point, second: Point) -> int:
    return abs(first[0] - second[0]) + abs(first[1] - second[1])


def _directions(way: Way) -> dict[Point, set[str]]:
    """For each point of a way, where it goes on to."""
    found: defaultdict[Point, set[str]] = defaultdict(set)
    for first, second in way.pieces:
        level = first[1] == second[1]
        found[first].add("R" if level else "B")
        found[second].add("L" if level else "T")
    return found


def routed(items: list[Item], lines: list[Line]) -> Router | None:
    """The ways of all lines; None if there are more than any number of tracks has room for."""
    order = sorted(range(len(lines)), key=lambda k: _span(lines[k]))
    routers = (Router(items, lines, tracks) for tracks in range(3, MOST_TRACKS))
    return next((router for router in routers if router.route(order)), None)


def _is_level(line: Line) -> bool:
    """Whether it is a part of a rail, which runs straight on."""
    return any(sides == "L" and item.row == line.source.row for item, sides in line.ends)


def _span(line: Line) -> tuple[bool, float]:
    """Rails first, then short lines before long ones."""
    longest = max(abs(item.column - line.source.column) + abs(item.row - line.source.row) for item, _ in line.ends)
    return not _is_level(line), longest
