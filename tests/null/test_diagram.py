"""A cell drawn as SVG: nothing overlaps, no line runs through a box, and every line of the graph is there."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tidegate.cell import Cell, Graph, layer_norm, sigmoid, tanh
from tidegate.emit import diagram
from tidegate.emit.diagram import label
from tidegate.emit.diagram.box import OUTER, Reading, Source
from tidegate.emit.diagram.picture import Picture, Place, Rectangle
from tidegate.errors import EmitError
from tidegate.zoo import CELLS

SVG = "{http://www.w3.org/2000/svg}"
NEAR = 3  # pixels between what does not touch


def overlap(a: Rectangle, b: Rectangle, room: float = 0) -> bool:
    return a.left < b.right + room and b.left < a.right + room and a.top < b.bottom + room and b.top < a.bottom + room


def pieces(picture: Picture) -> Iterator[tuple[int, Place, Place]]:
    """Every straight piece of every line."""
    for number, stroke in enumerate(picture.strokes):
        for path in stroke.paths:
            for start, end in itertools.pairwise(path):
                yield number, start, end


def along(start: Place, end: Place, inside: float = 0.5) -> Rectangle:
    """What a piece covers, a little shorter than it is, so that it may touch what it leads to."""
    (ax, ay), (bx, by) = sorted((start, end))
    dx, dy = (inside, 0) if ay == by else (0, inside)
    return Rectangle(min(ax, bx) + dx, min(ay, by) + dy, max(ax, bx) - dx, max(ay, by) - dy)


def faults(picture: Picture) -> list[str]:
    """Everything that must not be in a diagram."""
    found = []
    things = [(item.text or item.kind, box) for item, box in zip(picture.items, picture.boxes, strict=True)]
    things += [(i.name, name) for i, name in zip(picture.items, picture.names, strict=True) if name]
    for (a, first), (b, second) in itertools.combinations(things, 2):
        if overlap(first, second):
            found.append(f"{a} lies on {b}")
    lines = list(pieces(picture))
    for number, start, end in lines:
        if (start[0] == end[0]) == (start[1] == end[1]):
            found.append(f"line {number} is slanted or empty at {start}")
        found += [f"line {number} runs through {text}" for text, box in things if overlap(along(start, end), box)]
        if not (0 < start[0] < picture.width and 0 < start[1] < picture.height):
            found.append(f"line {number} leaves the picture")
    for (one, *first), (other, *second) in itertools.combinations(lines, 2):
        parallel = (first[0][0] == first[1][0]) == (second[0][0] == second[1][0])
        a, b = along(*first), along(*second)
        if one != other and parallel and overlap(a, b, NEAR):
            found.append(f"lines {one} and {other} run along each other at {first}")
    return found


def corners(picture: Picture) -> list[str]:
    """Where one line turns, branches or ends, no other passes."""
    found = []
    for number, stroke in enumerate(picture.strokes):
        turns = [corner for path in stroke.paths for corner in path[1:-1]] + stroke.branches
        for x, y in turns:
            here = Rectangle(x - 2, y - 2, x + 2, y + 2)
            others = [
                other for other, start, end in pieces(picture) if other != number and overlap(along(start, end), here)
            ]
            found += [f"line {other} touches line {number} where it turns, at {x}, {y}" for other in others]
    return found


@cache
def drawn(name: str) -> Picture:
    return Picture(CELLS[name].graph)


@pytest.mark.parametrize("name", CELLS)
def test_nothing_overlaps(name: str) -> None:
    picture = drawn(name)
    assert not faults(picture)
    assert not corners(picture)


def leaves(graph: Graph, root: int) -> set[int]:
    """Everything outside that a value depends on."""
    return {index for index in graph.reaches((root,)) if graph.nodes[index].op in OUTER}


@pytest.mark.parametrize("name", CELLS)
def test_boxes_depend_on_what_the_equations_depend_on(name: str) -> None:
    reading = Reading(CELLS[name].graph)
    reached = list[set[int]]()

    def of(source: Source) -> set[int]:
        return {source.at} if source.kind == "outer" else reached[source.at]

    for box in reading.boxes:
        reached.append(set().union(*(of(line.source) for line in box.inputs)))
    for node in reading.graph.reported.values():
        assert of(reading.source(node)) == leaves(reading.graph, node)
    named = {box.name for box in reading.boxes if box.name}
    states = {label.now(state.name) for state in reading.graph.states}
    assert named | states == {label.now(value) for value in reading.graph.reported}


@pytest.mark.parametrize("name", CELLS)
def test_every_line_reaches_all_its_ends(name: str) -> None:
    picture = drawn(name)
    for stroke in picture.strokes:
        reached, waiting = set[Place](), [stroke.paths[0][0]]
        while waiting:
            if (place := waiting.pop()) not in reached:
                reached.add(place)
                waiting += [path[-1] for path in stroke.paths if path[0] == place]
                waiting += [path[0] for path in stroke.paths if path[-1] == place]
        assert {place for place, _ in stroke.ends} <= reached
        assert all(path[0] in reached for path in stroke.paths)
        assert all(any(on_edge(place, box) for box in picture.boxes) for place, _ in stroke.ends)


def on_edge(place: Place, box: Rectangle) -> bool:
    x, y = place
    inside = box.left <= x <= box.right and box.top <= y <= box.bottom
    return inside and (x in {box.left, box.right} or y in {box.top, box.bottom})


def text_of(tree: ET.Element) -> list[str]:
    return ["".join(element.itertext()) for element in tree.iter(f"{SVG}text")]


def test_the_lstm_is_the_one_of_the_textbooks() -> None:
    picture = Picture(CELLS["lstm"].graph)
    by_name = {item.name or item.text: item for item in picture.items}
    gates = [by_name[f"{gate}_{{t}}"] for gate in "figo"]
    assert [gate.text for gate in gates] == ["σ", "σ", "tanh", "σ"]
    assert len({gate.row for gate in gates}) == 1
    assert [gate.column for gate in gates] == sorted(gate.column for gate in gates)
    assert by_name["c_{t−1}"].row == by_name["c_{t}"].row == 0
    assert by_name["h_{t−1}"].row == by_name["h_{t}"].row > gates[0].row
    assert by_name["x_{t}"].row == max(item.row for item in picture.items)
    assert sum(stroke.thick for stroke in picture.strokes) == 1


def test_text_of_the_gru() -> None:
    tree = ET.fromstring(diagram.svg(CELLS["gru"].graph))
    assert sorted(text_of(tree)) == sorted(["1 −", "zt", "rt", "nt", "ht−1", "ht", "xt", "Un", "tanh", *"σσ×××+"])
    assert tree.find(f"{SVG}title").text == "GRU"
    assert "h[t] = z[t] * h[t-1] + (1 - z[t]) * n[t]" in tree.find(f"{SVG}desc").text


def test_one_graph_one_text() -> None:
    graph = CELLS["lem"].graph
    assert diagram.svg(graph) == diagram.svg(Graph.from_json(graph.to_json()))


def test_on_a_page_it_has_no_colours_of_its_own_ground() -> None:
    alone, page = diagram.svg(CELLS["lstm"].graph), diagram.svg(CELLS["lstm"].graph, page=True)
    assert "prefers-color-scheme" in alone
    assert alone.replace(page.splitlines()[2], "") != page
    for text in (alone, page):
        assert "currentColor" in text
        assert not {"<script", "href", "url(", " id="} & set(text)
    assert "<style" not in page


def test_long_formulas_of_parameters_have_a_note() -> None:
    tree = ET.fromstring(diagram.svg(CELLS["lru"].graph))
    notes = [text for text in text_of(tree) if text.startswith("φ")]
    assert notes == [
        "φ1 = exp(−exp(ν)) / (1 + u × u) × (1 − u × u)",
        "φ2 = exp(−exp(ν)) / (1 + u × u) × 2 u",
    ]
    assert "× −φ2" in text_of(tree)


class Unusual(Cell):
    """What no cell of the zoo has: layer norm, a quotient, six terms, a name with markup's letters."""

    gates = "a s_x"
    state = "h c"
    biases = "W"
    vectors = "u alpha"

    def step(self, x, h, c, U, u, alpha):
        normal = layer_norm(U(h))
        a = sigmoid(normal.a * u + x.a)
        s_x = tanh(normal.s_x + x.s_x + a + h + c + a * c + alpha)
        c = (a - s_x / (2 + c)) * s_x * h * c
        h = layer_norm(c + a) * h * h
        return h, c


def test_a_cell_of_ones_own() -> None:
    picture = Picture(Unusual.graph)
    assert not faults(picture) + corners(picture)
    texts = text_of(ET.fromstring(diagram.svg(Unusual.graph)))
    assert {"LN", "LN1"} <= set(texts)


def deep(levels: int) -> type[Cell]:
    """A recurrent highway network of many levels."""
    line = "n{0} = tanh(U(h).n{0}); t{0} = sigmoid(U(h).t{0}); h = s{0} = t{0} * n{0} + (1 - t{0}) * h"
    lines = ["h = h + x.a", *map(line.format, range(levels)), "a = h", "return a"]
    body = "".join(f"    {line}\n" for line in lines)
    made: dict[str, Callable[..., object]] = {}
    exec(f"def step(self, x, h, U):\n{body}", {"tanh": tanh, "sigmoid": sigmoid}, made)
    blocks = " ".join(f"n{k} t{k}" for k in range(levels))
    declared = {
        "gates": " ".join([blocks, *(f"s{k}" for k in range(levels)), "a"]),
        "inputs": "a",
        "matrices": {"U": blocks},
    }
    return type("Deep", (Cell,), {**declared, "step": made["step"]})


def test_a_long_cell_is_drawn_and_an_endless_one_refused() -> None:
    picture = Picture(deep(12).graph)
    assert not faults(picture) + corners(picture)
    with pytest.raises(EmitError, match="more than 250") as refusal:
        diagram.svg(deep(60).graph)
    assert refusal.value.code == "DIAGRAM_SIZE"


def test_too_large_to_read() -> None:
    class Endless(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = x.n + U(h).n
            v = n
            for _ in range(12):
                v = tanh(v * v)
            return v

    with pytest.raises(EmitError) as refusal:
        diagram.svg(Endless.graph)
    assert refusal.value.code == "EQUATION_SIZE"
