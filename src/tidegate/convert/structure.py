"""Which row of the table a cell is: by its equations, whatever its names, its activations and the order of its terms.

The cells of the table are the patterns. An activation in a pattern stands for any function of one number; what it is
in the cell at hand is found by its values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.cell.function import NUMBERS
from tidegate.cell.graph import BINARY, UNARY, Op
from tidegate.cell.symbol import Symbol
from tidegate.convert.activation import Activation, recognised
from tidegate.convert.table import GROUPS, PROJECTED, ROWS
from tidegate.passes import project
from tidegate.passes.rewrite import Rewriter

ACTIVATIONS = frozenset({Op.SIGMOID, Op.TANH, Op.RELU})
OUTPUT = "h"  # the activation that no gate is named after: that of the cell state where h is read from it
TABLE = {**NUMBERS, Op.EXP: lambda value: math.inf if value > 709 else math.exp(value)}
Part = tuple[str, ...]  # a matrix, a block of it, a state or a block of a vector, with what it is first
Pairs = Mapping[Part, Part]  # from parts of the pattern to those of the cell


@dataclass(frozen=True)
class Identity:
    """What a cell is in the table.

    Attributes:
        row: of the table.
        negated: gates that the others store with the opposite sign.
        pieces: source and gate of each block of a matrix and of a vector of the cell.
        states: the row's name of each state.
        activations: by gate, and ``"h"`` of the output; None for a function that has no name here.
    """

    row: str
    negated: str
    pieces: Mapping[tuple[str, str], tuple[str, str]]
    states: Mapping[str, str]
    activations: Mapping[str, Activation | None]


@cache
def identify(graph: Graph) -> Identity | None:
    """The row of the table that has the same equations up to activations, or None."""
    found = [identity for pattern in _patterns() for identity in _identities(pattern, graph)]
    return min(found, key=_oddness, default=None)


@cache
def graph_of(row: str, activations: tuple[Activation, ...]) -> Graph:
    """The cell of the table in a row, with other activations.

    Args:
        row: of the table.
        activations: one for each group of gates in ``table.GROUPS``.
    """
    pattern = next(pattern for pattern in _patterns() if pattern.row == row)
    wanted = {gate: one for gates, one in zip(GROUPS[row], activations, strict=True) for gate in gates.split()}

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:  # noqa: ARG001
        if index not in pattern.holes or str(pattern.graph.nodes[index].op) == str(wanted[pattern.holes[index]]):
            return None
        result: Symbol = wanted[pattern.holes[index]](args[0])
        return result

    changed = Rewriter("convert", pattern.graph, change).finished()
    return changed if changed.nodes != pattern.graph.nodes else pattern.graph


@dataclass(frozen=True)
class _Pattern:
    """A cell of the table; ``holes`` are its activations by node: the gate, or the output."""

    row: str
    negated: str
    graph: Graph
    holes: Mapping[int, str]


@cache
def _patterns() -> tuple[_Pattern, ...]:
    made = []
    for name, (row, negated) in ROWS.items():
        whole = zoo.find(name).graph
        for suffix, graph in (("", whole), *((("/projected", project(whole)),) if row in PROJECTED else ())):
            gates = {index: gate for gate, index in graph.gates}
            holes = {k: gates.get(k, OUTPUT) for k, node in enumerate(graph.nodes) if node.op in ACTIVATIONS}
            made.append(_Pattern(row + suffix, negated, graph, holes))
    return tuple(made)


def _identities(pattern: _Pattern, graph: Graph) -> Iterator[Identity]:
    """Every way to read the cell as the pattern."""
    ours = pattern.graph
    if len(ours.states) != len(graph.states) or graph.masks or graph.input_axis != "I":
        return
    search = _Search(pattern, graph)
    pairs: Pairs = {
        ("state", one.name): ("state", other.name) for one, other in zip(ours.states, graph.states, strict=True)
    }
    for found in search.all(ours.updates, graph.updates, pairs):
        stored = {pair[1:] for pair in found.values() if pair[0] in {"block", "vector"}}
        if stored != {(part.name, block.name) for part in graph.parameters for block in part.blocks}:
            continue
        named = {(theirs[1], theirs[2]): one for one, theirs in found.items() if theirs[0] in {"block", "vector"}}
        pieces = {key: (one[1], one[2]) if one[0] == "block" else ("p", one[1][2:]) for key, one in named.items()}
        states = {theirs[1]: one[1] for one, theirs in found.items() if one[0] == "state"}
        identity = Identity(pattern.row, pattern.negated, pieces, states, search.activations(found))
        z = identity.activations.get("z")
        if not pattern.negated or (z is not None and z.is_even_around_half):
            yield identity


def _oddness(identity: Identity) -> tuple[int, int]:
    """Of two readings take that in which gates of a group agree, then that which is nearer to the cell of the table."""
    own = identity.activations
    groups = [{own[gate] for gate in gates.split()} for gates in GROUPS[identity.row]]
    usual = sum(str(a) not in {"sigmoid", "tanh"} for a in own.values())
    swapped = sum(str(own[gate]) == "tanh" for gate in GROUPS[identity.row][0].split()) if len(own) > 1 else 0
    return sum(map(len, groups)), usual + swapped


class _Search:
    """Pairs the nodes of a pattern with those of a cell, from the new states down."""

    def __init__(self, pattern: _Pattern, graph: Graph) -> None:
        self.pattern, self.graph = pattern, graph

    def all(self, ours: Sequence[int], theirs: Sequence[int], pairs: Pairs) -> Iterator[Pairs]:
        """Every way to pair several nodes, one with one."""
        if not ours:
            yield pairs
            return
        for found in self._pair(ours[0], theirs[0], pairs):
            yield from self.all(ours[1:], theirs[1:], found)

    def activations(self, pairs: Pairs) -> dict[str, Activation | None]:
        """What stands in the cell for each activation of the pattern."""
        ends = {self.pattern.holes[int(one[1])]: other for one, other in pairs.items() if one[0] == "hole"}
        return {gate: _function(self.graph, int(end[1]), int(end[2])) for gate, end in ends.items()}

    def _pair(self, one: int, other: int, pairs: Pairs) -> Iterator[Pairs]:
        ours, theirs = self.pattern.graph.nodes[one], self.graph.nodes[other]
        if one in self.pattern.holes:
            for neck in self._necks(other):
                hole = self._with(pairs, ("hole", str(one)), ("hole", str(other), str(neck)))
                yield from self._pair(ours.args[0], neck, hole) if hole else ()
            return
        if ours.op is not theirs.op or ours.axis != theirs.axis or ours.value != theirs.value:
            return
        if ours.op is Op.STATE:
            named = self._with(pairs, ("state", ours.name), ("state", theirs.name))
        elif ours.op is Op.VECTOR:
            named = self._with(pairs, ("vector", ours.name), ("vector", theirs.matrix, theirs.name))
        elif ours.op is Op.PRODUCT:
            named = self._with(pairs, ("matrix", ours.matrix), ("matrix", theirs.matrix))
            block = ("block", ours.matrix, ours.name), ("block", theirs.matrix, theirs.name)
            named = named and self._with(named, *block)
        else:
            named = pairs
        swaps = permutations(theirs.args) if ours.op in {Op.ADD, Op.MUL} else [theirs.args]
        for args in dict.fromkeys(swaps):
            yield from self.all(ours.args, args, named) if named is not None else ()

    @staticmethod
    def _with(pairs: Pairs, one: Part, other: Part) -> Pairs | None:
        """The pairs and one more; None if either has another partner already."""
        if one in pairs:
            return pairs if pairs[one] == other else None
        return None if one[0] != "hole" and other in pairs.values() else {**pairs, one: other}

    def _necks(self, top: int) -> Iterator[int]:
        """The nodes of which a node is a function, and of nothing else; itself first."""
        nodes, needed = self.graph.nodes, {top}
        while True:
            if len(needed) == 1:
                yield from needed
            lowest = max(needed)  # every node stands after its arguments
            if nodes[lowest].op not in UNARY | BINARY:
                return
            needed.remove(lowest)
            needed |= {arg for arg in nodes[lowest].args if nodes[arg].op is not Op.CONST}
            if not needed:
                return


@cache
def _function(graph: Graph, top: int, neck: int) -> Activation | None:
    """The activation by which one node of a cell follows from another."""

    def at(index: int, values: dict[int, float]) -> float:
        node = graph.nodes[index]
        if index not in values:
            args = [at(arg, values) for arg in node.args]
            values[index] = node.value if node.op is Op.CONST else TABLE[node.op](*args)
        return values[index]

    function: Callable[[float], float] = lambda point: at(top, {neck: point})  # noqa: E731
    return recognised(function)
