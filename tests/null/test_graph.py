"""Graphs as data: saved, read back, tampered with, and held against every rule."""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.cell import Block, Graph, Node, Op, State, Vector, verify
from tidegate.emit import latex
from tidegate.emit.equation import plain
from tidegate.errors import SpecError
from tidegate.zoo import CELLS, GRU, LSTM, MGU, PeepholeLSTM

every_cell = pytest.mark.parametrize("cell", CELLS)


def through_text(graph):
    return Graph.from_json(json.loads(json.dumps(graph.to_json())))


@every_cell
def test_round_trip(cell):
    graph = CELLS[cell].graph
    again = through_text(graph)
    assert again == graph
    assert again.hash == graph.hash
    assert again.to_json() == graph.to_json()


@every_cell
def test_round_trip_without_bias(cell):
    graph = CELLS[cell].graph.without_bias()
    assert through_text(graph) == graph
    assert not any(matrix.has_bias for matrix in graph.matrices)


def test_the_hash_sees_everything_but_the_name():
    graph = MGU.graph
    assert replace(graph, name="Other").hash == graph.hash
    one = next(k for k, node in enumerate(graph.nodes) if node.op is Op.CONST)
    two = tuple(replace(node, value=2.0) if k == one else node for k, node in enumerate(graph.nodes))
    others = [replace(graph, nodes=two), graph.without_bias(), replace(graph, matrices=graph.matrices[::-1])]
    assert len({graph.hash, *(other.hash for other in others)}) == 4


def test_hashes_of_the_zoo_are_all_different():
    assert len({cell.graph.hash for cell in CELLS.values()}) == len(CELLS)


PLACES = st.lists(st.integers(0, 30), min_size=1, max_size=5)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 40),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "H", "I", "P", "W", "U", "R", "h", "c", "r", "p_i", "x", "add", "mul", "product", "state"]),
    st.text(max_size=40),
    st.lists(st.integers(-1, 5), max_size=3),
    st.lists(st.text(max_size=3), max_size=3),
    st.just([[]]),
    st.just({}),
    st.dictionaries(st.sampled_from(["name", "axis", "op", "bias"]), st.integers(0, 3), max_size=2),
)


def places(data):
    """Every container in plain data with each of its keys."""
    keys = list(data) if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ()
    for key in keys:
        yield data, key
        yield from places(data[key])


OF_PYTHON = re.compile(
    r"\w+Error|NoneType|subscript|unpack|indices|keyword|argument after|'(?:str|int|float|list|dict)'"
)


@st.composite
def tampered(draw):
    """The plain data of a cell after up to three changes of any kind."""
    data = json.loads(json.dumps(draw(st.sampled_from([GRU, PeepholeLSTM, MGU])).graph.to_json()))
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(data))
        container, key = found[draw(st.integers(0, len(found) - 1))]
        change = draw(st.sampled_from(["set", "set", "set", "delete", "copy"]))
        if change == "set":
            container[key] = copy.deepcopy(draw(VALUES))
        elif change == "delete":
            del container[key]
        else:
            other, place = found[draw(st.integers(0, len(found) - 1))]
            container[key] = copy.deepcopy(other[place])
    return data


@given(tampered())
@settings(max_examples=500)
def test_tampered_data_is_refused_or_a_graph_that_works(data):
    try:
        graph = Graph.from_json(data)
    except SpecError as error:
        said = str(error)
        assert not OF_PYTHON.search(said)
        return
    assert through_text(graph).hash == graph.hash
    assert {graph: "found"}[through_text(graph)]
    assert plain(graph)
    assert latex.align(graph)


@pytest.mark.parametrize("data", [None, 3, "graph", [], {}, {"format": 1}, {"format": 2}, [["format", 1]]])
def test_what_is_no_graph_at_all_is_refused(data):
    with pytest.raises(SpecError):
        Graph.from_json(data)


TAMPERINGS = {  # what a random change hits too seldom
    "an infinite index": lambda data: data["gates"].__setitem__(0, ["f", math.inf]),
    "an axis that is a list": lambda data: data["states"][0].__setitem__("axis", []),
    "an axis that is no name": lambda data: data["states"][0].__setitem__("axis", "H; rm"),
    "a name that is a list": lambda data: data["nodes"][0].__setitem__("name", []),
    "a node name that nothing needs": lambda data: data["nodes"][-1].__setitem__("name", "<script>"),
    "a block name that is a list": lambda data: data["matrices"][0]["blocks"][0].__setitem__("name", []),
    "a bias that is no bool": lambda data: data["matrices"][0]["blocks"][0].__setitem__("bias", "no"),
    "a vector that is a list": lambda data: data.__setitem__("vectors", [[]]),
    "an index that is a bool": lambda data: data.update(updates=[True]),
    "an index that is a float": lambda data: data["gates"].__setitem__(0, ["f", 7.5]),
    "an unhashable operation": lambda data: data["nodes"][0].__setitem__("op", []),
    "columns that no operand has": lambda data: data["matrices"][1].__setitem__("columns", "Q"),
    "a name that is no text": lambda data: data.__setitem__("name", {"a": 1}),
    "blocks that are text": lambda data: data["matrices"][0].__setitem__("blocks", "fn"),
    "a product that nothing needs": lambda data: data["nodes"][14].__setitem__("args", [0]),
    "a product that is computed twice": lambda data: data["nodes"].append(
        next(node for node in data["nodes"] if node["op"] == "product")
    ),
    "nodes that are a mapping": lambda data: data.__setitem__("nodes", {}),
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_tampering_is_refused(tampering):
    data = json.loads(json.dumps(MGU.graph.to_json()))
    TAMPERINGS[tampering](data)
    with pytest.raises(SpecError):
        Graph.from_json(data)


def with_node(graph, index, **changes):
    nodes = list(graph.nodes)
    nodes[index] = replace(nodes[index], **changes)
    return replace(graph, nodes=tuple(nodes))


def first(graph, op):
    return next(k for k, node in enumerate(graph.nodes) if node.op is op)


def with_block(graph, **changes):
    head, *tail = graph.matrices
    block, *others = head.blocks
    return replace(graph, matrices=(replace(head, blocks=(replace(block, **changes), *others)), *tail))


def extended(graph, *nodes):
    return replace(graph, nodes=(*graph.nodes, *nodes))


BREAKAGES = {
    "name of the cell": (lambda g: replace(g, name="a b"), "not a name for a cell"),
    "reserved name": (lambda g: replace(g, states=(State("x"), *g.states[1:])), "state: the name 'x' is reserved"),
    "name of a block": (lambda g: with_block(g, name="i-j"), "block of W: 'i-j' is not a name"),
    "name twice": (
        lambda g: replace(g, vectors=(*g.vectors, Vector.of_units("p_i"))),
        "vector 'p_i' is declared twice",
    ),
    "no state": (lambda g: replace(g, states=(), updates=()), "at least one state"),
    "no W first": (lambda g: replace(g, matrices=g.matrices[::-1]), "first matrix must be W"),
    "W on a state": (
        lambda g: replace(g, matrices=(replace(g.matrices[0], columns="H"), *g.matrices[1:])),
        "the input has axis H, not 'I'",
    ),
    "W on an axis of its own": (
        lambda g: replace(g, matrices=(replace(g.matrices[0], columns="S"), *g.matrices[1:])),
        "first matrix must be W",
    ),
    "W on what is no input": (
        lambda g: with_node(g, first(g, Op.PRODUCT), args=(first(g, Op.STATE),)),
        "W has columns I, its operand 'H'",
    ),
    "output of an axis of its own": (
        lambda g: replace(g, states=(State("h", "S"), *g.states[1:])),
        "the first state, which is the output, has axis S, not H",
    ),
    "axis that is no name": (lambda g: replace(g, states=(*g.states[:1], State("c", "s"))), "'s' is not an axis"),
    "vector of two axes": (
        lambda g: extended(g, Node(Op.VECTOR, name="p_i", axis="S")),
        "no vector 'p_i' with axis 'S'",
    ),
    "too many arguments": (
        lambda g: with_node(g, first(g, Op.SIGMOID), args=(0, 1)),
        "sigmoid takes 1 arguments, got 2",
    ),
    "a leaf with arguments": (lambda g: with_node(g, first(g, Op.STATE), args=(0,)), "state takes 0 arguments"),
    "a later argument": (
        lambda g: with_node(g, first(g, Op.SIGMOID), args=(first(g, Op.SIGMOID),)),
        "do not all stand before it",
    ),
    "a negative argument": (lambda g: with_node(g, first(g, Op.SIGMOID), args=(-1,)), "do not all stand before it"),
    "unknown state": (lambda g: with_node(g, first(g, Op.STATE), name="q"), "no state 'q'"),
    "state of another axis": (lambda g: with_node(g, first(g, Op.STATE), axis="P"), "with axis 'P'"),
    "unknown vector": (lambda g: with_node(g, first(g, Op.VECTOR), name="q"), "no vector 'p_i.q'"),
    "vector of another axis": (lambda g: with_node(g, first(g, Op.VECTOR), axis="I"), "no vector 'p_i' with axis 'I'"),
    "vector without blocks": (lambda g: replace(g, vectors=(*g.vectors, Vector("q", ()))), "vector q is declared but"),
    "vector with a bias": (
        lambda g: replace(g, vectors=(Vector("p_i", (Block("p_i", bias=True),)), *g.vectors[1:])),
        "vector p_i has a bias",
    ),
    "vector of a norm of nothing": (
        lambda g: replace(g, vectors=(*g.vectors, Vector.of_units("norm_q"))),
        "vector: the name 'norm_q' is reserved",
    ),
    "vector that is a bias": (
        lambda g: replace(g, vectors=(*g.vectors, Vector.of_units("bias_W"))),
        "vector 'bias_W' is the bias of a matrix",
    ),
    "a mean of nothing": (lambda g: extended(g, Node(Op.MEAN, (), axis="H1")), "mean of nothing"),
    "a mean of a number": (lambda g: extended(g, Node(Op.CONST), Node(Op.MEAN, (len(g.nodes),))), "mean of widths []"),
    "a mean of two widths": (lambda g: extended(g, Node(Op.MEAN, _input_and_state(g), axis="H1")), "mean of widths"),
    "a mean that is a vector": (lambda g: extended(g, Node(Op.MEAN, (first(g, Op.STATE),), axis="H")), "gives 'H'"),
    "a mean of a mean": (
        lambda g: extended(
            g, Node(Op.MEAN, (first(g, Op.STATE),), axis="H1"), Node(Op.MEAN, (len(g.nodes),), axis="H1")
        ),
        "mean of widths ['H1']",
    ),
    "a mean for rows of another width": (
        lambda g: extended(
            g,
            Node(Op.MEAN, (first(g, Op.INPUT),), axis="I1"),
            Node(Op.ADD, (first(g, Op.STATE), len(g.nodes)), axis="H"),
        ),
        "add of widths ['H', 'I1']",
    ),
    "a matrix times one number a row": (
        lambda g: replace(g, matrices=(*g.matrices[:1], replace(g.matrices[1], columns="H1"))),
        "'H1' is not an axis",
    ),
    "a second input": (lambda g: extended(g, Node(Op.INPUT, axis="I")), "the input is %"),
    "input of another axis": (lambda g: with_node(g, first(g, Op.INPUT), axis="H"), "the input has axis I"),
    "a constant that is not finite": (lambda g: extended(g, Node(Op.CONST, value=math.nan)), "a finite number"),
    "a constant with an axis": (lambda g: extended(g, Node(Op.CONST, value=1.0, axis="H")), "without an axis"),
    "pointwise on two widths": (lambda g: extended(g, Node(Op.ADD, _input_and_state(g), axis="H")), "add of widths"),
    "pointwise with a wrong result": (lambda g: with_node(g, first(g, Op.SIGMOID), axis="I"), "sigmoid of widths"),
    "a product of no block": (lambda g: with_node(g, first(g, Op.PRODUCT), name="q"), "no block 'q' in a matrix 'W'"),
    "a product of no matrix": (lambda g: with_node(g, first(g, Op.PRODUCT), matrix="Q"), "in a matrix 'Q'"),
    "an operand of another width": (
        lambda g: with_node(g, first(g, Op.PRODUCT), args=(first(g, Op.STATE),)),
        "W has columns I, its operand 'H'",
    ),
    "a product of another width": (lambda g: with_block(g, axis="P"), "block i has axis P, the node 'H'"),
    "two operands": (
        lambda g: extended(g, Node(Op.PRODUCT, (_state(g, "c"),), "i", "U", axis="H")),
        "block i of U multiplies two different values",
    ),
    "unused block": (
        lambda g: replace(
            g, matrices=(replace(g.matrices[0], blocks=(*g.matrices[0].blocks, Block("q"))), *g.matrices[1:])
        ),
        "block q of W is declared but never used",
    ),
    "too few results": (lambda g: replace(g, updates=g.updates[:1]), "2 states, but 1 new values"),
    "a result that is no node": (lambda g: replace(g, updates=(99, 0)), "not all nodes"),
    "a result of another width": (
        lambda g: replace(g, updates=(first(g, Op.INPUT), g.updates[1])),
        "has axis 'I', not 'H'",
    ),
    "unused vector": (
        lambda g: replace(g, vectors=(*g.vectors, Vector.of_units("q"))),
        "vector q is declared but never used",
    ),
    "unused gate": (
        lambda g: replace(extended(g, Node(Op.NEG, (g.updates[0],), axis="H")), gates=(*g.gates, ("q", len(g.nodes)))),
        "gate q does not influence any state",
    ),
    "gate of a state's name": (lambda g: replace(g, gates=(*g.gates, ("c", first(g, Op.SIGMOID)))), "not its value"),
}


def test_an_axis_that_could_not_name_a_size_is_refused():
    data = json.dumps(MGU.graph.to_json())
    with pytest.raises(SpecError):
        Graph.from_json(json.loads(data.replace('"H"', '"H; int x"')))


def _state(graph, name):
    return next(k for k, node in enumerate(graph.nodes) if node.op is Op.STATE and node.name == name)


def _input_and_state(graph):
    return first(graph, Op.INPUT), first(graph, Op.STATE)


@pytest.mark.parametrize("rule", BREAKAGES)
def test_each_broken_rule_is_named_with_the_program(rule):
    breakage, complaint = BREAKAGES[rule]
    verify(PeepholeLSTM.graph)
    with pytest.raises(SpecError) as caught:
        verify(breakage(PeepholeLSTM.graph))
    assert caught.value.code == "GRAPH_INVALID"
    assert complaint in caught.value.message
    assert "%0 = " in str(caught.value)


@every_cell
def test_every_cell_keeps_the_rules_with_and_without_bias(cell):
    verify(CELLS[cell].graph)
    verify(CELLS[cell].graph.without_bias())


def test_products_of_one_operand_are_grouped_in_storage_order():
    groups = [(matrix, [LSTM.graph.nodes[k].name for k in group]) for matrix, _, group in LSTM.graph.products]
    assert groups == [("W", ["i", "f", "g", "o"]), ("U", ["i", "f", "g", "o"])]
    before = GRU.variant(reset="before").graph
    assert [len(group) for _, _, group in before.products] == [3, 2, 1]


def test_an_error_survives_pickling():
    import pickle

    with pytest.raises(SpecError) as caught:
        Graph.from_json({})
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
