"""Sums of products: which products of a step add onto one another, and how their sums lie side by side.

What a gate reads is mostly ``W x + b + U h``. Nobody reads its summands alone, so they are added onto one row of sums
that begins with the biases. Sums lie so that what one matrix is multiplied by is added onto as few pieces as possible:
of a GRU ``n | r z | U_n h``, where W covers the first three and U the last three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.cell.graph import Graph, Node, Op
from tidegate.cell.symbol import Tracer
from tidegate.passes import INPUT, Carried, Program, Step, schedule


@dataclass(frozen=True)
class Sum:
    """Rows that products are added onto.

    Attributes:
        node: whose value they are in the end.
        products: the nodes that are added, first those of earlier phases.
        parts: the same, and the nodes of their sums on the way.
        at: the first of these rows among all sums.
        width: how many they are.
    """

    node: int
    products: tuple[int, ...]
    parts: tuple[int, ...]
    at: int
    width: int


@dataclass(frozen=True)
class Call:
    """Row blocks of a matrix times a vector, added onto sums side by side.

    Attributes:
        matrix: its name.
        blocks: of rows, in the order of the sums.
        operand: the node of the vector.
        at: the first of the sums.
        rows: of all blocks.
        columns: as many as the vector has numbers, or a head of it.
        heads: equal parts of the rows and of the vector, each multiplied by itself; there is then one block.
    """

    matrix: str
    blocks: tuple[str, ...]
    operand: int
    at: int
    rows: int
    columns: int
    heads: int = 1


@dataclass(frozen=True)
class Form:
    """One step of a cell at certain widths, in phases, with its products as sums.

    Attributes:
        graph: the cell.
        widths: of its axes.
        program: what leads to new states, in phases.
        sums: side by side.
        calls: for each phase its products.
        names: of gates and of new states, by their nodes.
    """

    graph: Graph
    widths: Mapping[str, int]
    program: Program
    sums: tuple[Sum, ...]
    calls: tuple[tuple[Call, ...], ...]
    names: Mapping[int, str]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.program.step.nodes

    @property
    def rows(self) -> int:
        """Of all sums."""
        return sum(row.width for row in self.sums)

    def biases(self, row: Sum) -> list[tuple[str, str]]:
        """The biases with which a sum begins, as pairs of matrix and block."""
        found = []
        for product in row.products:
            node = self.nodes[product]
            block = next(b for b in self.graph.matrix(node.matrix).blocks if b.name == node.name)
            found += [(node.matrix, node.name)] * block.bias
        return found


def form_of(graph: Graph, widths: Mapping[str, int]) -> Form:
    """The step of a cell without what leads to no state.

    Args:
        graph: the cell.
        widths: of its axes.
    """
    step, names = _live(graph)
    program = schedule(step)
    nodes = program.step.nodes
    phase_of = {index: number for number, phase in enumerate(program.phases) for index in phase.products}
    groups: dict[tuple[int, str, int], list[int]] = {}
    added = _added(program.step)
    for root, parts in added.items():
        for product in _products(nodes, parts):
            node = nodes[product]
            groups.setdefault((phase_of[product], node.matrix, node.args[0]), []).append(root)
    order = {m.name: k for k, m in enumerate(graph.matrices)}
    keys = sorted(groups, key=lambda key: (key[0], order[key[1]], key[2]))
    sums = _side_by_side(graph, nodes, widths, added, [groups[key] for key in keys], phase_of)
    calls: list[list[Call]] = [[] for _ in program.phases]
    for phase, matrix, operand in keys:
        of_root = {row.node: row for row in sums}
        rows = sorted((of_root[root] for root in groups[phase, matrix, operand]), key=lambda row: row.at)
        heads = graph.matrix(matrix).heads
        pieces = _pieces(rows) if heads == 1 else [[row] for row in rows]
        calls[phase] += [_call(nodes, matrix, operand, piece, widths, heads) for piece in pieces]
    return Form(graph, widths, program, sums, tuple(map(tuple, calls)), names)


def _live(graph: Graph) -> tuple[Step, Mapping[int, str]]:
    """The nodes that lead to new states, and their names."""
    tracer = Tracer()
    values: dict[int, int] = {}
    for index in sorted(graph.reaches(graph.updates)):
        node = graph.nodes[index]
        if node.op is Op.INPUT:
            node = Node(Op.SERIES, name=INPUT, axis=node.axis)  # it lies in memory
        values[index] = tracer.add(replace(node, args=tuple(values[arg] for arg in node.args))).index
    carried = [Carried(s.name, s.axis, values[n]) for s, n in zip(graph.states, graph.updates, strict=True)]
    names = {c.after: f"{c.name}_t" for c in reversed(carried)}
    names = {values[i]: name for name, i in reversed(graph.gates) if i in values} | names
    return Step(tuple(tracer.nodes), tuple(carried), ()), names


def _added(step: Step) -> dict[int, tuple[int, ...]]:
    """What makes up one sum, by its node: products, and their sums, that nothing else reads."""
    uses = Counter(arg for node in step.nodes for arg in node.args)
    uses.update(carried.after for carried in step.carried)
    found: dict[int, tuple[int, ...]] = {}
    for index, node in enumerate(step.nodes):
        if node.op is Op.PRODUCT:
            found[index] = (index,)
        elif node.op is Op.ADD and all(arg in found and uses[arg] == 1 for arg in node.args):
            one, other = (found[arg] for arg in node.args)
            if not _read(step.nodes, one) & _read(step.nodes, other):
                found[index] = (*one, *other, index)
                del found[node.args[0]], found[node.args[1]]
    return found


def _products(nodes: Sequence[Node], parts: Sequence[int]) -> list[int]:
    return [i for i in parts if nodes[i].op is Op.PRODUCT]


def _read(nodes: Sequence[Node], parts: Sequence[int]) -> set[tuple[str, int]]:
    """Matrices and what they multiply; a pair reaches each sum once."""
    return {(nodes[i].matrix, nodes[i].args[0]) for i in _products(nodes, parts)}


def _side_by_side(
    graph: Graph,
    nodes: Sequence[Node],
    widths: Mapping[str, int],
    added: Mapping[int, tuple[int, ...]],
    groups: Sequence[Sequence[int]],
    phase_of: Mapping[int, int],
) -> tuple[Sum, ...]:
    """Sums ordered by the first and the last of the matrices that reach them."""

    def place(root: int) -> tuple[int, ...]:
        reached = [k for k, roots in enumerate(groups) if root in roots]
        node = nodes[_products(nodes, added[root])[0]]
        names = [block.name for block in graph.matrix(node.matrix).blocks]
        return reached[0], reached[-1], *reached, names.index(node.name)

    sums, at = [], 0
    for root in sorted(added, key=place):
        width = widths[nodes[root].axis]
        products = sorted(_products(nodes, added[root]), key=lambda i: (phase_of[i], i))
        sums.append(Sum(root, tuple(products), added[root], at, width))
        at += width
    return tuple(sums)


def _pieces(rows: Sequence[Sum]) -> list[list[Sum]]:
    """Rows cut where others lie between them."""
    pieces: list[list[Sum]] = []
    for row in rows:
        if pieces and pieces[-1][-1].at + pieces[-1][-1].width == row.at:
            pieces[-1].append(row)
        else:
            pieces.append([row])
    return pieces


def _call(
    nodes: Sequence[Node], matrix: str, operand: int, piece: Sequence[Sum], widths: Mapping[str, int], heads: int
) -> Call:
    def block(row: Sum) -> str:
        return next(nodes[i].name for i in row.products if (nodes[i].matrix, nodes[i].args[0]) == (matrix, operand))

    rows = sum(row.width for row in piece)
    columns = widths[nodes[operand].axis] // heads
    return Call(matrix, tuple(map(block, piece)), operand, piece[0].at, rows, columns, heads)
