"""Where boxes stand: rows and columns.

Rows, from the top: a rail for each state that is carried on, from its old value at the left to its new one at the
right; values in between; layers; the other states; at the bottom what enters from below. Columns follow the order of
computation. What is made of layers ascends from them, what is made of states alone descends from the rails.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.cell.graph import Op
from tidegate.emit.diagram import label
from tidegate.emit.diagram.box import LAYER, PILL, VALUE, Box, Reading, Source

JOIN, ENTRY, EXIT, BELOW = "join", "entry", "exit", "below"
FIRST, LAST = -1e6, 1e6  # columns of what enters and leaves


@dataclass(eq=False)
class Item:
    """Something with a place.

    Attributes:
        kind: of a box; or a join of several lines, an entry at the left, an exit, an entry from below.
        text: what stands in it.
        name: what stands beside it.
        column: before columns are counted, any number in their order.
        row: counted from the top.
        feet: lines that may enter from below.
    """

    kind: str
    text: str
    name: str = ""
    column: float = 0
    row: int = 0
    feet: int = 1


@dataclass(eq=False)
class Line:
    """What connects a source to all that reads it.

    Attributes:
        source: the item that it leaves.
        sides: the sides at which it may leave, the best first.
        ends: items with the sides at which it may enter each.
        thick: whether it is several values side by side.
    """

    source: Item
    sides: str
    ends: list[tuple[Item, str]] = field(default_factory=list)
    thick: bool = False


_TURN = {"rail": 0, "layer": 1, "up": 1, "down": 2}  # in which inputs are placed: what descends goes above the others


class Plan(NamedTuple):
    """What is tried both ways.

    Attributes:
        beneath: whether a layer may stand beneath a box that does not read it.
        backwards: whether the inputs of a box are placed from the last to the first.
    """

    beneath: bool
    backwards: bool


@dataclass
class Placing:
    """Gives rows and columns to the boxes of a cell, and lines to their inputs.

    Attributes:
        reading: the boxes.
        plan: how to place them.
        items: all that has a place.
        lines: all lines.
    """

    reading: Reading
    plan: Plan
    items: list[Item] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.graph, self.boxes = self.reading.graph, self.reading.boxes
        self._fans = Counter(line.source for box in self.boxes for line in box.inputs)
        self._ends = [self.reading.source(node) for node in self.graph.updates]
        self._rails: dict[str, list[int]] = {}
        for state, end in zip(self.graph.states, self._ends, strict=True):
            if (path := self._carried(state.name, end)) is not None:
                self._rails[state.name] = path
        self._railed = {box: name for name, path in self._rails.items() for box in path}
        self._height: dict[int, tuple[str, int]] = {}
        self._column: dict[int, int] = {}
        self._taken: set[tuple[tuple[str, int], int]] = set()
        for index, box in enumerate(self.boxes):
            self._height[index] = self._level(index, box)
        for _, end in sorted(zip(self.graph.updates, self._ends, strict=True)):
            if end.kind == "box":
                self._place(end.at)
        for index in range(len(self.boxes)):
            self._place(index)
        self._items()
        self._connect()
        order = sorted({item.column for item in self.items})
        for item in self.items:
            item.column = order.index(item.column)

    def _carried(self, state: str, end: Source) -> list[int] | None:
        """The shortest way of a state through values of this step to its new value; None if there is none."""
        ways: list[tuple[Source, list[int]]] = [(end, [])]
        taken = {box for path in self._rails.values() for box in path}
        seen = set[Source]()
        for source, path in ways:
            if source.kind == "outer":
                node = self.graph.nodes[source.at]
                if (node.op, node.name) == (Op.STATE, state):
                    return path
            elif source not in seen and source.at not in taken and self.boxes[source.at].kind != LAYER:
                seen.add(source)
                inputs = self.boxes[source.at].inputs
                ways += [(line.source, [source.at, *path]) for line in inputs]
        return None

    def _is_high(self, source: Source) -> bool:
        """Whether a line comes from the rails."""
        if source.kind == "outer":
            return self.graph.nodes[source.at].name in self._rails and self._is_state(source)
        return source.at in self._railed or self._height[source.at][0] == "down"

    def _is_state(self, source: Source) -> bool:
        return source.kind == "outer" and self.graph.nodes[source.at].op is Op.STATE

    def _place(self, index: int, least: int = 0) -> None:
        """Give a box and its inputs columns, no column before ``least``."""
        if index in self._column:
            return
        box = self.boxes[index]
        made = [line.source.at for line in box.inputs if line.source.kind == "box"]
        made = made[::-1] if self.plan.backwards else made
        height = self._height[index]
        for source in sorted(made, key=lambda source: _TURN[self._height[source][0]]):
            beside = [self._column[other] for other in made if other in self._column and other not in self._railed]
            self._place(source, max(beside, default=0) if height[0] != "layer" else 0)
        column = self._earliest(index, box, made, least)
        while (height, column) in self._taken or (height[0] == "rail" and self._rail_below(column)):
            column += 1
        self._column[index] = column
        self._taken.add((height, column))

    def _rail_below(self, column: int) -> bool:
        return any(kind == "rail" and at == column for (kind, _), at in self._taken)

    def _level(self, index: int, box: Box) -> tuple[str, int]:
        if index in self._railed:
            return "rail", list(self._rails).index(self._railed[index])
        if box.kind in {LAYER, VALUE}:
            return "layer", 0
        high = [self._is_high(line.source) for line in box.inputs]
        levels = [self._level_of(line.source) for line in box.inputs]
        if all(high):
            return "down", 1 + max(levels, default=0)
        return "up", 1 + max(level for level, is_high in zip(levels, high, strict=True) if not is_high)

    def _level_of(self, source: Source) -> int:
        if source.kind == "outer" or source.at in self._railed:
            return 0
        return self._height[source.at][1]

    def _earliest(self, index: int, box: Box, made: list[int], least: int) -> int:
        """The first column in which a box may stand."""
        kind, _ = self._height[index]
        standing = {"layer"} if self.plan.beneath else {"layer", "up"}
        next_layer = 1 + max((c for (height, _), c in self._taken if height in standing), default=-1)
        if kind == "layer":
            return max([next_layer, *(self._column[source] + 1 for source in made)])
        if kind == "down":
            own = [self._column[source] + (source in self._railed) for source in made]
            return max([least or next_layer, *own])
        columns = [self._column[source] + self._beside(source, index, box) for source in made]
        return max([0, *columns]) if columns else next_layer

    def _beside(self, source: int, index: int, box: Box) -> bool:
        """Whether a box stands to the right of its input and not above it."""
        if index in self._railed:
            return self._railed.get(source) == self._railed[index]
        return source in self._railed or (box.kind == PILL and self._fans[Source("box", source)] > 1)

    def _items(self) -> None:
        rails, middle = list(reversed(self._rails)), self._middle()
        layers = len(rails) + middle
        rows = {name: row for row, name in enumerate(rails)}
        others = [state.name for state in self.graph.states if state.name not in rails]
        rows |= {name: layers + 1 + k for k, name in enumerate(others)}
        self._join_row = layers + 1
        self._of_box: dict[int, Item] = {}
        for index, box in enumerate(self.boxes):
            kind, level = self._height[index]
            row = {"layer": layers, "up": layers - level, "down": len(rails) + level - 1}.get(kind, -1)
            row = rows[self._railed[index]] if kind == "rail" else row
            feet = sum(line.weighted for line in box.inputs) if box.kind == LAYER else max(1, len(box.inputs) - 2)
            self._of_box[index] = Item(box.kind, box.text, box.name, self._column[index], row, feet)
        self._of_outer: dict[int, Item] = {}
        below = layers + 2 + max(0, len(others) - 1)
        for index, node in enumerate(self.graph.nodes):
            if node.op is Op.STATE:
                self._of_outer[index] = Item(ENTRY, label.before(node.name), "", FIRST, rows[node.name])
            if node.op in {Op.INPUT, Op.GIVEN, Op.MASK}:
                text = "x_{t}" if node.op is Op.INPUT else label.now(node.name)
                self._of_outer[index] = Item(BELOW, text, "", FIRST / 2 + len(self._of_outer), below)
        self._exits = [Item(EXIT, label.now(state.name), "", LAST, rows[state.name]) for state in self.graph.states]

    def _middle(self) -> int:
        """Rows between rails and layers."""
        tops = {"up": Counter[int](), "down": Counter[int]()}
        most = 0
        for index, box in enumerate(self.boxes):
            kind, level = self._height[index]
            if kind in tops:
                tops[kind][self._column[index]] = max(level, tops[kind][self._column[index]])
            inputs = [self._height[line.source.at] for line in box.inputs if line.source.kind == "box"]
            downs = [deep for height, deep in inputs if height == "down"]
            most = max([most, *(level + deep for deep in downs if kind == "up"), *(downs if kind == "layer" else [])])
        columns = tops["up"].keys() | tops["down"].keys()
        return max([most, *(tops["up"][column] + tops["down"][column] for column in columns)])

    def _item(self, source: Source) -> Item:
        return self._of_box[source.at] if source.kind == "box" else self._of_outer[source.at]

    def _connect(self) -> None:
        lines: dict[Source, Line] = {}
        joined = self._joins()
        for index, box in enumerate(self.boxes):
            weighted = _weighted(box)
            if weighted in joined:
                joined[weighted].ends.append((self._of_box[index], "B"))
                self._of_box[index].feet = 1
            for place, line in enumerate(box.inputs):
                if not (line.weighted and weighted in joined):
                    self._line(lines, line.source).ends.append((self._of_box[index], self._entering(index, place)))
        for sources, join in joined.items():
            for source in sources:
                self._line(lines, source)
            for item, sides in _sides([lines[source].source for source in sources], join.source).items():
                next(line for line in lines.values() if line.source is item).ends.append((join.source, sides))
        for end, exit_ in zip(self._ends, self._exits, strict=True):
            self._line(lines, end).ends.append((exit_, "L"))
        used = [line.source for line in lines.values()]
        self.lines = [*lines.values(), *joined.values()]
        self.items = [*self._of_box.values(), *(item for item in self._of_outer.values() if item in used)]
        self.items += [*(line.source for line in joined.values()), *self._exits]

    def _joins(self) -> dict[tuple[Source, ...], Line]:
        """Values that several layers read together are joined to one thick line."""
        together: dict[tuple[Source, ...], list[int]] = {}
        for index, box in enumerate(self.boxes):
            sources = _weighted(box)
            if len(sources) > 1:
                together.setdefault(sources, []).append(index)
        joins: dict[tuple[Source, ...], Line] = {}
        shared = [sources for sources, readers in together.items() if len(readers) > 1]
        alone = [sources for sources in together if all(source.kind == "outer" for source in sources)]
        for sources in shared or alone:
            column = min(self._column[reader] for reader in together[sources]) - 0.9 + 0.1 * len(joins)
            joins[sources] = Line(Item(JOIN, "", "", column, self._join_row), "R", thick=True)
        for sources, join in sorted(joins.items(), key=lambda pair: -pair[1].source.column):
            below = next((source for source in sources if self._item(source).kind == BELOW), None)
            if below:  # what enters from below stands beneath the first join that takes it
                self._item(below).column = join.source.column
        return joins

    def _line(self, lines: dict[Source, Line], source: Source) -> Line:
        if source not in lines:
            sides = {LAYER: "TR", VALUE: "TR", ENTRY: "R", BELOW: "T"}.get(self._item(source).kind, "RTBL")
            is_rail = source.kind == "box" and source.at in self._railed
            lines[source] = Line(self._item(source), "R" if is_rail else sides)
        return lines[source]

    def _entering(self, index: int, place: int) -> str:
        """The sides at which an input may enter a box, the best first."""
        box = self.boxes[index]
        line = box.inputs[place]
        if box.kind == LAYER:
            return "B" if line.weighted else "LR"
        if index not in self._railed:
            return "LBTR"
        own = [k for k, other in enumerate(box.inputs) if self._is_rail(other.source, index)]
        return "L" if own and own[0] == place else "BT"

    def _is_rail(self, source: Source, index: int) -> bool:
        """Whether a line is what a box on a rail carries on."""
        name = self._railed[index]
        place = self._rails[name].index(index)
        if place:
            return source == Source("box", self._rails[name][place - 1])
        return self._is_state(source) and self.graph.nodes[source.at].name == name


def _weighted(box: Box) -> tuple[Source, ...]:
    return tuple(sorted(line.source for line in box.inputs if line.weighted))


def _sides(sources: list[Item], join: Item) -> dict[Item, str]:
    """Where each of several lines may enter a join: from the left in the order in which they come, the best first.

    What enters the cell from below comes from below. A digit is one of the places at the left, counted from the top.
    """
    left = sorted((item for item in sources if item.kind != BELOW), key=lambda item: (item.row, item.column))
    below = [item for item in sources if item.kind == BELOW]
    left = [*left, *below[1:]]
    if len(left) == 1:
        return {left[0]: "LTB"} | dict.fromkeys(below[:1], "BLT")
    join.feet = len(left)
    return {item: str(place) for place, item in enumerate(left)} | dict.fromkeys(below[:1], "B")
