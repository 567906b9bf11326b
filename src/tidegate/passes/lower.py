"""Lower the graph of a cell to the steps that the engine runs: forward, backward, and the end of backward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from tidegate.cell.graph import OUTSIDE, Graph, Node, Op
from tidegate.cell.symbol import Symbol
from tidegate.passes.differentiate import Adjoints, differentiate, transposed
from tidegate.passes.program import Carried, Series, Step
from tidegate.passes.remember import remember
from tidegate.passes.simplify import Simplifier

# Names that no parameter can have.
INPUT = "x[t]"  # the input, as far as a step reads it itself
OUTPUT = "y[t]"  # the output state after each step
PREVIOUS = "y[t-1]"  # the same before it
BESIDE = "given {}[t]"  # what the caller passes beside the input
UPSTREAM = "dy[t]"  # the adjoint of the output from outside
OF_INPUT = "dx[t]"  # the adjoint of the input, as far as a step reads it itself
VALUE = "value {}[t]"  # a reported value
OF_STATE = "d {}[t]"  # the adjoint of a state after each step


@dataclass(frozen=True)
class MatrixGradient:
    """The gradient of some blocks of a matrix: a product over all steps.

    Attributes:
        matrix: its name.
        blocks: pairs of a block and the series that holds the adjoint of its product.
        operand: what the matrix was applied to: ``INPUT``, ``PREVIOUS``, what is given, or a saved series.
    """

    matrix: str
    blocks: tuple[tuple[str, str], ...]
    operand: str


@dataclass(frozen=True)
class Lowered:
    """A cell as the engine takes it.

    Attributes:
        graph: the cell.
        forward: passes on the states, writes ``OUTPUT`` and the saved values.
        traced: the same, but writes every reported value, ``VALUE``, instead of the saved ones.
        backward: run from the last step; carries ``d h`` and so on: adjoints of states as far as they pass
            pointwise, and ``d U.i``: adjoints of products whose operand is a state. Writes the adjoints of products.
        watched: the same, and writes the adjoint of each state, ``OF_STATE``, too.
        ending: run once where backward ends: the series ``d h`` it writes are the adjoints of the first states.
        matrices: how to make the gradients of matrices (and of their biases, the sums of the same series).
        vectors: for each block of a vector, by both names, the series whose sum over all steps is its gradient.
        input: the series to add to the gradient of the input, which is otherwise made from the adjoints of W.
    """

    graph: Graph
    forward: Step
    traced: Step
    backward: Step
    watched: Step
    ending: Step
    matrices: tuple[MatrixGradient, ...]
    vectors: Mapping[tuple[str, str], str]
    input: str | None


def lower(graph: Graph) -> Lowered:
    """Differentiate a cell and decide what to save."""
    tracer = Simplifier()
    primal: list[Symbol] = []
    for node in graph.nodes:
        primal.append(tracer.copy(node, tuple(primal[arg] for arg in node.args)))
    count = len(tracer.nodes)
    ends = _adjoints_of_states(graph, tracer)
    upstream = tracer.add(Node(Op.SERIES, name=UPSTREAM, axis=graph.output.axis))
    totals = ends | {graph.output.name: ends[graph.output.name] + upstream}
    adjoints = differentiate(graph, tracer, primal, _of_updates(graph, totals))

    carried, alias = _carried(graph, tracer, adjoints.products, adjoints.leaves)
    series, own, written = _written(graph, tracer, adjoints)
    roots = [*(c.after for c in carried), *(s.node for s in written)]
    saved, names = _saved(graph, tracer.nodes, primal, _read(tracer.nodes, roots, count))
    kept = [Series(name, tracer.nodes[i].axis, i, saved=True) for i, name in saved.items()]
    forward = partial(_forward, graph, tracer.nodes[:count], [primal[u].index for u in graph.updates])
    given_back = {s.node: Node(Op.SERIES, name=s.name, axis=s.axis) for s in kept} | alias
    return Lowered(
        graph,
        forward([s for s in kept if s.name != OUTPUT]),
        forward(_reported(graph, primal)),
        _step(tracer.nodes, carried, written, given_back),
        _step(tracer.nodes, carried, [*written, *_of_states(OF_STATE, totals)], given_back),
        _step(tracer.nodes, [], _of_states("d {}", ends), alias),
        tuple(
            MatrixGradient(m, tuple((graph.nodes[i].name, series[adjoints.products[i]]) for i in group), names[operand])
            for m, operand, group in graph.products
        ),
        {name: series[index] for name, index in own.items()},
        OF_INPUT if written and written[-1].name == OF_INPUT else None,
    )


def _written(
    graph: Graph, tracer: Simplifier, adjoints: Adjoints
) -> tuple[dict[int, str], dict[tuple[str, str], int], list[Series]]:
    """What a backward run writes: the series of each adjoint, the adjoint of each block of vectors, and all series."""
    series = {index: f"g.{k}" for k, index in enumerate(dict.fromkeys(adjoints.products.values()))}
    leaves = {graph.nodes[i]: a for i, a in adjoints.leaves.items()}
    own = {(node.matrix, node.name): a for node, a in leaves.items() if node.op is Op.VECTOR}
    for index in own.values():
        series.setdefault(index, f"g.{len(series)}")
    written = [Series(name, tracer.nodes[i].axis, i) for i, name in series.items()]
    of_input = next((a for i, a in adjoints.leaves.items() if graph.nodes[i].op is Op.INPUT), None)
    if of_input is not None:  # in a place of its own, even where it equals the adjoint of a product
        written.append(Series(OF_INPUT, tracer.nodes[of_input].axis, of_input))
    return series, own, written


def _saved(
    graph: Graph, nodes: Sequence[Node], primal: Sequence[Symbol], read: set[int]
) -> tuple[dict[int, str], dict[int, str]]:
    """The series of each value that is saved for a backward run, and of each operand of a product."""
    operands = {operand: primal[operand].index for _, operand, _ in graph.products}
    plain = {o for o in operands if graph.nodes[o].op in OUTSIDE or o == _output_leaf(graph)}
    forced = {index for operand, index in operands.items() if operand not in plain}
    output = primal[graph.updates[0]].index  # which is written down anyway
    saved = {i: OUTPUT if i == output else f"s.{i}" for i in remember(nodes, read, forced)}

    def name(operand: int) -> str:
        node = graph.nodes[operand]
        if node.op in OUTSIDE:
            return INPUT if node.op is Op.INPUT else BESIDE.format(node.name)
        return PREVIOUS if operand in plain else saved[operands[operand]]

    return saved, {operand: name(operand) for operand in operands}


def _output_leaf(graph: Graph) -> int | None:
    leaves = (i for i, node in enumerate(graph.nodes) if node.op is Op.STATE and node.name == graph.output.name)
    return next(leaves, None)


def _adjoints_of_states(graph: Graph, tracer: Simplifier) -> dict[str, Symbol]:
    """What the next step returns: a part that passed pointwise, and one through each matrix."""
    adjoints = {s.name: tracer.add(Node(Op.STATE, name=f"d {s.name}", axis=s.axis)) for s in graph.states}
    for matrix, operand, group in graph.products:
        node = graph.nodes[operand]
        if node.op is Op.STATE:
            leaves = {i: tracer.add(_carried_leaf(graph.nodes[i])) for i in group}
            through = transposed(tracer, graph, matrix, group, leaves)
            assert through is not None
            adjoints[node.name] = adjoints[node.name] + through
    return adjoints


def _of_updates(graph: Graph, totals: Mapping[str, Symbol]) -> dict[int, Symbol]:
    """The adjoint of each node that is the new value of states: the sum of theirs."""
    upstream: dict[int, Symbol] = {}
    for state, update in zip(graph.states, graph.updates, strict=True):
        total = totals[state.name]
        upstream[update] = upstream[update] + total if update in upstream else total
    return upstream


def _of_states(name: str, adjoints: Mapping[str, Symbol]) -> list[Series]:
    return [Series(name.format(state), symbol.axis, symbol.index) for state, symbol in adjoints.items()]


def _reported(graph: Graph, primal: Sequence[Symbol]) -> list[Series]:
    """What a trace shows, but for the output."""
    values = {n: i for n, i in graph.reported.items() if n != graph.output.name}
    return [Series(VALUE.format(n), graph.nodes[i].axis, primal[i].index) for n, i in values.items()]


def _carried_leaf(product: Node) -> Node:
    return Node(Op.STATE, name=f"d {product.matrix}.{product.name}", axis=product.axis)


def _carried(
    graph: Graph, tracer: Simplifier, products: Mapping[int, int], leaves: Mapping[int, int]
) -> tuple[list[Carried], dict[int, Node]]:
    """The values that backward passes on, and those of its leaves that are another name for one of them."""
    zero = tracer.lift(0.0).index
    parts = {graph.nodes[i].name: a for i, a in leaves.items() if graph.nodes[i].op is Op.STATE}
    carried = {f"d {s.name}": Carried(f"d {s.name}", s.axis, parts.get(s.name, zero)) for s in graph.states}
    alias: dict[int, Node] = {}
    first: dict[int, Node] = {}
    for _, operand, group in graph.products:
        if graph.nodes[operand].op is Op.STATE:
            for index in group:
                leaf = _carried_leaf(graph.nodes[index])
                adjoint = products[index]
                alias[tracer.add(leaf).index] = first.setdefault(adjoint, leaf)
                carried.setdefault(first[adjoint].name, Carried(first[adjoint].name, leaf.axis, adjoint))
    return list(carried.values()), alias


def _read(nodes: Sequence[Node], roots: Iterable[int], count: int) -> set[int]:
    """The nodes before ``count`` that later ones read directly."""
    read: set[int] = set()
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        index = stack.pop()
        if index < count:
            read.add(index)
        elif index not in seen:
            seen.add(index)
            stack.extend(nodes[index].args)
    return read


def _forward(graph: Graph, nodes: Sequence[Node], updates: Sequence[int], written: Sequence[Series]) -> Step:
    """Products of the input and of what is given come from outside: they are made for all steps at once."""
    series = {
        i: Node(Op.SERIES, name=f"{node.matrix}.{node.name}", axis=node.axis)
        for i, node in enumerate(nodes)
        if node.op is Op.PRODUCT and nodes[node.args[0]].op in OUTSIDE
    } | {i: Node(Op.SERIES, name=INPUT, axis=node.axis) for i, node in enumerate(nodes) if node.op is Op.INPUT}
    carried = [Carried(s.name, s.axis, u) for s, u in zip(graph.states, updates, strict=True)]
    output = Series(OUTPUT, graph.output.axis, updates[0])
    return _step(nodes, carried, [output, *written], series)


def _step(
    nodes: Sequence[Node], carried: Sequence[Carried], series: Sequence[Series], replaced: Mapping[int, Node]
) -> Step:
    """The part of a program that its results need, with some nodes replaced by leaves."""
    needed: set[int] = set()
    stack = [*(c.after for c in carried), *(s.node for s in series)]
    while stack:
        index = stack.pop()
        if index not in needed:
            needed.add(index)
            stack.extend(() if index in replaced else nodes[index].args)
    moved: dict[int, int] = {}
    known: dict[Node, int] = {}
    for index in sorted(needed):
        node = replaced.get(index) or replace(nodes[index], args=tuple(moved[arg] for arg in nodes[index].args))
        moved[index] = known.setdefault(node, len(known))
    return Step(
        tuple(known),
        tuple(replace(c, after=moved[c.after]) for c in carried),
        tuple(replace(s, node=moved[s.node]) for s in series),
    )
