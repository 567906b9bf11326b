"""What a drawing says is what the equations say: its boxes are read as a reader would, and computed."""

import math
import re
from dataclasses import replace
from unittest import mock

import pytest

from tidegate.cell import Cell, Graph, sigmoid, tanh
from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import Node, Op
from tidegate.emit.diagram import label
from tidegate.emit.diagram.box import CIRCLE, LAYER, VALUE, Box, Reading, Source
from tidegate.zoo import CELLS

WEIGHT = 0.7  # of every matrix; biases are 0
MERGED = {"misprintlstm", "misprintgru"}  # two matrices on one value are one line, which does not say how many


def number(name: str) -> float:
    """A value of its own for everything that has a name."""
    return 0.2 + (sum(ord(letter) * 7**k for k, letter in enumerate(name)) % 97) / 100


def wanted(graph: Graph) -> list[float]:
    """The value of every node of a cell of one unit."""

    def leaf(node: Node) -> float:
        return node.value if node.op is Op.CONST else number(spelled(node))

    return evaluate(graph, NUMBERS, leaf, lambda node, operand: WEIGHT * operand)


def spelled(node: Node) -> str:
    if node.op is Op.VECTOR:
        block = "" if node.name == node.matrix else f"_{node.name}"
        name = f"b_{node.name}" if node.matrix.startswith("bias_") else node.matrix + block
        return label.name(name)
    return {Op.STATE: label.before, Op.INPUT: lambda _: "x_{t}"}.get(node.op, label.now)(node.name)


def normal(*values: float, place: int = 1) -> float:
    middle, spread = NUMBERS[Op.MEAN](*values), NUMBERS[Op.VARIANCE](*values)
    return (values[place - 1] - middle) / math.sqrt(spread + 1e-5)


FUNCTIONS = {
    "σ": NUMBERS[Op.SIGMOID],
    "logσ": NUMBERS[Op.LOG_SIGMOID],
    "relu": NUMBERS[Op.RELU],
    "tanh": math.tanh,
    "exp": math.exp,
    "log": math.log,
    "√": math.sqrt,
    "max": max,
    "min": min,
    "hardσ": lambda v: min(max(0.2 * v + 0.5, 0), 1),
    "mean": NUMBERS[Op.MEAN],
    "var": NUMBERS[Op.VARIANCE],
    "LN": normal,
    "softplus": lambda v: math.log1p(math.exp(v)),
}


def computed(text: str, value: float, notes: dict[str, str]) -> float:
    """A formula of a box, applied to a value."""
    text = re.sub(r"(log|hard) σ", r"\1σ", text)
    if "·" not in text:
        text = with_hole(text)
    names: dict[str, float] = {}

    def word(found: re.Match[str]) -> str:
        if found[0] in FUNCTIONS:
            return found[0]
        key = f"v{len(names)}"
        names[key] = (
            math.e
            if found[0] == "e"
            else computed(notes[found[0]], 0, notes)
            if found[0] in notes
            else number(found[0])
        )
        return key

    text = re.sub(r"10\^\{([^}]*)\}", lambda m: f"(10.0**({m[1]}))", text)
    text = re.sub(r"[^\W\d_]+(?:_\{[^}]*\})?", word, text)
    text = text.replace("·", "HOLE").replace("×", "*").replace("−", "-").replace("√", "root")
    text = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", text)
    return eval(text, {"root": math.sqrt, **FUNCTIONS, **names, "HOLE": value})


SEVERAL = {
    "max": lambda *values, **_: max(values),
    "min": lambda *values, **_: min(values),
    "mean": lambda *values, **_: NUMBERS[Op.MEAN](*values),
    "var": lambda *values, **_: NUMBERS[Op.VARIANCE](*values),
    "LN": normal,
}


def with_hole(text: str) -> str:
    """Where a short formula takes its argument: before or after a sign, or in the function that has none."""
    if text[0] in "×+/" or text.startswith("− "):
        return f"· {text}"
    if text[-1] in "+−/":
        return f"{text} ·"
    bare = [m for m in re.finditer(r"[^\W\d_]+|√", text) if m[0] in FUNCTIONS and text[m.end() : m.end() + 1] != "("]
    return f"{text[: bare[-1].end()]}(·){text[bare[-1].end() :]}" if bare else text


def drawn(reading: Reading) -> list[float]:
    """The value of every box, as a reader computes it."""
    graph, values = reading.graph, list[float]()
    notes = {name: text for name, (_, text) in reading.letters.items()}

    def of(source: Source) -> float:
        return values[source.at] if source.kind == "box" else number(spelled(graph.nodes[source.at]))

    def inside(box: Box) -> float:
        inputs = [of(line.source) * (WEIGHT if line.weighted else 1) for line in box.inputs]
        if box.kind == CIRCLE:
            return sum(inputs) if box.text == "+" else math.prod(inputs)
        if box.kind == LAYER:
            text = re.sub(r"linear|[A-Z]_\{[^}]*\}", "·", box.text)
            return computed(text, sum(inputs), notes)
        if len(inputs) > 1 or box.text in SEVERAL:
            return SEVERAL[box.text.partition("_")[0]](
                *inputs, place=int(box.text[4:-1] or 1) if "_" in box.text else 1
            )
        return computed(box.text, inputs[0] if box.kind != VALUE else 0, notes)

    for box in reading.boxes:
        values.append(inside(box))
    return values


def differences(graph: Graph, rel: float) -> list[str]:
    """Values of which drawing and equations say different things."""
    reading = Reading(graph)
    values, right = drawn(reading), wanted(graph)
    found = []
    for value, node in graph.reported.items():
        source = reading.source(node)
        got = values[source.at] if source.kind == "box" else number(spelled(graph.nodes[source.at]))
        if got != pytest.approx(right[node], rel=rel, abs=1e-9):
            found.append(f"{value}: drawn {got}, but {right[node]}")
    return found


@pytest.mark.parametrize("name", [name for name in CELLS if name not in MERGED])
def test_the_drawing_computes_what_the_equations_compute(name: str) -> None:
    assert not differences(CELLS[name].graph, rel=2e-3)  # numbers are written to four digits


EXACT = replace(label.NOTATION, number=lambda value: f"{value:.15f}".replace("-", "−"))


def exact_differences(graph: Graph) -> list[str]:
    """As ``differences``, of a drawing that writes all digits."""
    with mock.patch.object(label, "NOTATION", EXACT):
        return differences(graph, rel=1e-6)


def test_values_that_are_read_twice_by_one_box() -> None:
    class Twice(Cell):
        gates = "a b"
        biases = "W"

        def step(self, x, h, U):
            a = tanh(x.a + x.a - U(h).a)
            b = sigmoid(x.b * x.b + U(a).b)
            return h * h - a / (b + b)

    assert not differences(Twice.graph, rel=1e-9)
