"""Equations as text. ``python -m tests.null.test_equations`` writes the golden files anew; read the difference."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.cell import (
    Block,
    Cell,
    Graph,
    Matrix,
    Node,
    Op,
    State,
    Vector,
    layer_norm,
    mean,
    sigmoid,
    sqrt,
    tanh,
    variance,
    verify,
)
from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS
from tidegate.emit import latex
from tidegate.emit.equation import PLAIN, SUM, equations, infix, plain
from tidegate.errors import EmitError
from tidegate.passes import normalise
from tidegate.zoo import CELLS

GOLDEN = Path(__file__).parent / "golden"
PRINTED = {"tex": latex.align, "txt": plain}
CHOSEN = [
    "normalised lstm",
    "rnn",
    "lstm",
    "peepholelstm",
    "gru",
    "gru/before",
    "mgu",
    "janet",
    "indrnn",
    "minlstm",
    "slstm",
    "lstm1997",
    "fgr",
    "misprintlstm",
]


def chosen(cell: str) -> Graph:
    return normalise(CELLS["lstm"].graph) if cell == "normalised lstm" else CELLS[cell].graph


def golden(cell: str, kind: str) -> Path:
    return GOLDEN / f"{cell.replace('/', '_').replace(' ', '_')}.{kind}"


@pytest.mark.parametrize("kind", PRINTED)
@pytest.mark.parametrize("cell", CHOSEN)
def test_golden(cell, kind):
    assert PRINTED[kind](chosen(cell)) + "\n" == golden(cell, kind).read_text()


def test_no_golden_file_is_left_over():
    left = {path.name for path in GOLDEN.iterdir() if path.suffix in (".tex", ".txt")}
    assert left == {golden(c, k).name for c in CHOSEN for k in PRINTED}


@pytest.mark.parametrize("cell", CELLS)
def test_every_reported_value_has_a_line(cell):
    graph = CELLS[cell].graph
    assert len(plain(graph).splitlines()) == len(latex.lines(graph)) == len(graph.reported)


# Numbers below are chosen so that no function leaves its domain: exp of an exp of an exp overflows.
SAFE = (Op.ADD, Op.SUB, Op.MUL, Op.NEG, Op.SIGMOID, Op.TANH, Op.RELU, Op.MAXIMUM, Op.MINIMUM)
ARITY = {op: 1 if op in (Op.NEG, Op.SIGMOID, Op.TANH, Op.RELU) else 2 for op in SAFE}


@st.composite
def programs(draw):
    """A random program over one state, one product and two vectors; division by a sum that cannot be zero."""
    nodes = [
        Node(Op.STATE, name="h", axis="H"),
        Node(Op.INPUT, axis="I"),
        Node(Op.PRODUCT, (1,), "n", "W", axis="H"),
        Node(Op.VECTOR, name="a", matrix="a", axis="H"),
        Node(Op.CONST, value=draw(st.sampled_from([2.0, 0.5, -1.5, -3.0]))),
        Node(Op.CONST, value=2.0),
    ]
    nodes.append(Node(Op.ADD, (0, 3), axis="H"))
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from([*SAFE, Op.DIV]))
        anything = st.integers(0, len(nodes) - 1).filter(lambda k: k != 1)
        vector = anything.filter(lambda k: nodes[k].axis)  # numbers alone are no program
        args = (draw(vector),) if ARITY.get(op) == 1 else (draw(anything), draw(vector))
        if op is Op.DIV:
            nodes.append(Node(Op.SIGMOID, args[1:], axis="H"))
            args = (args[0], len(nodes) - 1)
        nodes.append(Node(op, args, axis="H"))
    whole = _sum_of_all(nodes)
    return nodes, whole, draw(st.booleans())


def _sum_of_all(nodes: list[Node]) -> int:
    """Make every node matter, so that none is left out of the text."""
    total = 2
    for k in range(3, len(nodes)):
        nodes.append(Node(Op.SUB if k % 2 else Op.MUL, (total, k), axis="H"))
        total = len(nodes) - 1
    return total


def as_python(text: str) -> str:
    """The right side of a plain equation as an expression: products get a sign, states and inputs a name."""
    text = re.sub(r"W_n (?=x\[t\])", "W_n * ", text)
    return text.replace("x[t]", "x").replace("h[t-1]", "h")


@given(programs(), st.integers(1, 9), st.integers(1, 9))
def test_plain_text_means_what_the_graph_computes(program, first, second):
    nodes, whole, bias = program
    matrix = Matrix("W", (Block("n", bias=bias),), "I")
    graph = Graph("Random", (matrix,), (State("h"),), (Vector.of_units("a"),), tuple(nodes), (whole,), ())
    verify(graph)
    names = {"h": first / 10, "a": second / 10, "x": 0.3, "W_n": -0.7, "b_n": 0.4}

    def leaf(node: Node) -> float:
        return node.value if node.op is Op.CONST else names["x" if node.op is Op.INPUT else node.name]

    def product(node: Node, operand: float) -> float:
        return names["W_n"] * operand + (names["b_n"] if bias else 0)

    value = evaluate(graph, NUMBERS, leaf, product)[whole]
    functions = {op.value: NUMBERS[op] for op in (Op.SIGMOID, Op.TANH, Op.RELU, Op.MAXIMUM, Op.MINIMUM)}
    text = as_python(plain(graph).split(" = ", 1)[1])
    assert math.isclose(eval(text, {"__builtins__": {}}, {**names, **functions}), value, rel_tol=1e-9, abs_tol=1e-12)


def test_the_text_is_wrong_where_a_parenthesis_is_lost():
    """A planted bug: h - (h - a) and h - h - a are different numbers and must be different text."""
    nodes = (
        Node(Op.STATE, name="h", axis="H"),
        Node(Op.VECTOR, name="a", matrix="a", axis="H"),
        Node(Op.SUB, (0, 1), axis="H"),
        Node(Op.SUB, (0, 2), axis="H"),
    )
    graph = Graph("Minus", (Matrix("W", (), "I"),), (State("h"),), (Vector.of_units("a"),), nodes, (3,), ())
    careless = replace(PLAIN, rules={**PLAIN.rules, Op.SUB: infix(" - ", SUM)})
    values = {"h": 3.0, "a": 5.0}
    assert eval(as_python(plain(graph).split(" = ")[1]), {}, values) == 5
    assert eval(as_python(equations(graph, careless)[0][1]), {}, values) != 5


@given(programs())
def test_latex_has_matching_braces_and_delimiters(program):
    nodes, whole, _ = program
    graph = Graph(
        "Random", (Matrix("W", (Block("n"),), "I"),), (State("h"),), (Vector.of_units("a"),), tuple(nodes), (whole,), ()
    )
    text = latex.align(graph)
    assert text.count("{") == text.count("}")
    assert text.count(r"\left(") == text.count(r"\right)")


def test_a_layer_norm_is_printed_as_it_is_written():
    class Normed(Cell):
        gates = "z n"
        biases = "W"

        def step(self, x, h, U):
            u = layer_norm(U(h))
            z = sigmoid(x.z + u.z)
            first, _ = layer_norm(x.n, z)
            n = tanh(first + mean(h, z) * layer_norm(u.n))
            return n * sqrt(variance(z))

    assert plain(Normed.graph).splitlines() == [
        "z[t] = sigmoid(W_z x[t] + b_z + layer_norm(U h[t-1]).z)",
        "n[t] = tanh(layer_norm(W_n x[t] + b_n, z[t]).1 + mean(h[t-1], z[t]) * layer_norm(layer_norm(U h[t-1]).n))",
        "h[t] = n[t] * sqrt(variance(z[t]))",
    ]
    assert r"\mathrm{LN}\left(U h_{t-1}\right)_{z}" in latex.align(Normed.graph)


def test_what_only_looks_like_a_layer_norm_is_not_printed_as_one():
    class Nearly(Cell):
        gates = "n"

        def step(self, x, h, U):
            n = tanh(x.n + U(h).n)
            return (n - mean(n)) * (1 / sqrt(variance(n, h) + 1e-5)) + (n - mean(n)) * (1 / sqrt(variance(n) + 1e-3))

    assert "layer_norm" not in plain(Nearly.graph)


def constant(value: float) -> Graph:
    nodes = (
        Node(Op.INPUT, axis="I"),
        Node(Op.PRODUCT, (0,), "n", "W", axis="H"),
        Node(Op.CONST, value=value),
        Node(Op.MUL, (2, 1), axis="H"),
    )
    return Graph("Constant", (Matrix("W", (Block("n"),), "I"),), (State("h"),), (), nodes, (3,), ())


@pytest.mark.parametrize("value", [1e-5, 1e20, 1 / 3, 123456.789])
def test_a_constant_is_printed_so_that_it_reads_back(value):
    shown = plain(constant(value)).split(" = ")[1].split(" * ")[0]
    assert math.isclose(float(shown), value, rel_tol=1e-9)


@pytest.mark.parametrize("value", [1e-5, 1e20])
def test_latex_writes_powers_of_ten_as_powers(value):
    assert not re.search(r"\de[+-]?\d", latex.lines(constant(value))[0])


def write() -> None:
    """Write every golden file."""
    for cell in CHOSEN:
        for kind, printed in PRINTED.items():
            golden(cell, kind).write_text(printed(chosen(cell)) + "\n")


@pytest.mark.parametrize(
    ("count", "more"),
    [(900, lambda v, z: v + z), (30, lambda v, z: z * v + v)],
    ids=["deep", "written twice at each step"],
)
@pytest.mark.parametrize("printed", PRINTED.values(), ids=PRINTED)
def test_equations_that_nobody_could_read_are_refused(count, more, printed):
    class Long(Cell):
        gates = "z"

        def step(self, x, h, U):
            z = sigmoid(x.z + U(h).z)
            v = h
            for _ in range(count):
                v = more(v, z)
            return v

    with pytest.raises(EmitError, match=r"the equation of h in Long has more than 2,000 .*gates"):
        printed(Long.graph)


if __name__ == "__main__":
    write()
