"""How the equations of a cell become few ONNX nodes: what is known when, and which products are one.

Every node of a cell is known from the parameters alone (``FIXED``), from the input, so for all steps at once before
the loop over time (``EARLY``), or inside the loop (``LATE``). Sums are taken together with all that they add: the
products become one Gemm for each operand, to which the early part is handed as C. Blocks that one function is
applied to stand side by side, so that it is applied once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tidegate.cell.graph import Graph, Op
from tidegate.errors import EmitError

FIXED, EARLY, LATE = range(3)
SUMS = frozenset({Op.ADD, Op.SUB, Op.NEG})
SQUASHES = (Op.SIGMOID, Op.TANH, Op.RELU)  # applied to neighbouring blocks at once, which stand in this order

Term = tuple[int, int]  # a sign and a node


@dataclass
class Sum:
    """A sum, taken apart.

    Attributes:
        node: what it is the value of.
        products: terms that are products of this level: their operands are no earlier than the sum.
        early: terms of an earlier level.
        rest: further terms.
    """

    node: int
    products: list[Term] = field(default_factory=list)
    early: list[Term] = field(default_factory=list)
    rest: list[Term] = field(default_factory=list)


@dataclass(frozen=True)
class Group:
    """Late sums whose products are one Gemm for each operand.

    Attributes:
        operands: the nodes that are multiplied; none for a single sum without products.
        sums: in the order of the blocks.
        squashes: for each of them the node that is a function of it alone, or None.
        with_early: the early parts are not the same at every step.
    """

    operands: tuple[int, ...]
    sums: tuple[Sum, ...]
    squashes: tuple[int | None, ...]
    with_early: bool

    def of(self, node: int) -> Sum:
        """The sum that this node is the value of."""
        return next(of for of in self.sums if of.node == node)


class Plan:
    """The plan of a cell.

    Args:
        graph: the cell.
        hoisted: the input, and what is given, is multiplied before the loop; else it is read inside it.

    Attributes:
        levels: of each node.
        needed: the nodes that the new states depend on.
        inlined: nodes that only a sum reads, which computes them.
        sums: by node.
        groups: by the node of each of their sums.

    Raises:
        EmitError: the cell reads masks, which only training draws.
    """

    def __init__(self, graph: Graph, *, hoisted: bool = True) -> None:
        if graph.masks:
            names = ", ".join(mask.name for mask in graph.masks)
            raise EmitError("ONNX_MASK", f"{graph.name} reads {names}, which only training draws", fix="ship the layer")
        self.graph = graph
        self.needed = sorted(graph.reaches(graph.updates))
        self.levels = self._levels(EARLY if hoisted else LATE)
        self._readers = {index: list[int]() for index in self.needed}
        for index in self.needed:
            for arg in graph.nodes[index].args:
                self._readers[arg].append(index)
        self._uses = Counter(graph.updates) + Counter({i: len(readers) for i, readers in self._readers.items()})
        self.inlined = {index for index in self.needed if self._is_inlined(index)}
        self.sums = {index: self._taken_apart(index) for index in self.needed if self._is_sum(index)}
        self.groups = self._groups()

    def _levels(self, of_input: int) -> dict[int, int]:
        level: dict[int, int] = {}
        for index in self.needed:
            node = self.graph.nodes[index]
            own = {Op.INPUT: of_input, Op.GIVEN: of_input, Op.STATE: LATE}.get(node.op, FIXED)
            level[index] = max([own, *(level[arg] for arg in node.args)])
        return level

    def _is_inlined(self, index: int) -> bool:
        node = self.graph.nodes[index]
        if self.levels[index] == FIXED or node.op not in SUMS | {Op.PRODUCT} or self._uses[index] != 1:
            return False
        readers = self._readers[index]
        return bool(readers) and self.graph.nodes[readers[0]].op in SUMS

    def _is_sum(self, index: int) -> bool:
        op = self.graph.nodes[index].op
        return self.levels[index] != FIXED and op in SUMS | {Op.PRODUCT} and index not in self.inlined

    def _taken_apart(self, root: int) -> Sum:
        apart, stack = Sum(root), [(1, root)]
        while stack:
            sign, index = stack.pop()
            node = self.graph.nodes[index]
            opened = index == root or index in self.inlined
            if opened and node.op in SUMS:
                signs = {Op.ADD: (1, 1), Op.SUB: (1, -1), Op.NEG: (-1,)}[node.op]
                stack += [(sign * own, arg) for own, arg in zip(signs, node.args, strict=True)][::-1]
            elif self.levels[index] < self.levels[root]:
                apart.early.append((sign, index))
            elif opened and node.op is Op.PRODUCT:
                apart.products.append((sign, index))
            else:
                apart.rest.append((sign, index))
        return apart

    def operands(self, of: Sum) -> tuple[int, ...]:
        """What the products of a sum multiply."""
        return tuple(sorted({self.graph.nodes[index].args[0] for _, index in of.products}))

    def varies(self, terms: Sequence[Term]) -> bool:
        """Whether any of them is not the same at every step."""
        return any(self.levels[index] == EARLY for _, index in terms)

    def _squash(self, of: Sum) -> int | None:
        readers = self._readers[of.node]
        alone = self._uses[of.node] == 1 == len(readers) and not of.rest
        return readers[0] if alone and self.graph.nodes[readers[0]].op in SQUASHES else None

    def _groups(self) -> dict[int, Group]:
        found: dict[tuple[int | tuple[int, ...], bool], list[Sum]] = {}
        for index, of in self.sums.items():
            if self.levels[index] == LATE:
                key = self.operands(of) or index, self.varies(of.early)
                found.setdefault(key, []).append(of)
        groups: dict[int, Group] = {}
        for (_, with_early), sums in found.items():
            ordered = sorted(sums, key=self._place)
            squashes = tuple(map(self._squash, ordered))
            group = Group(self.operands(ordered[0]), tuple(ordered), squashes, with_early)
            groups |= {of.node: group for of in ordered}
        return groups

    def _place(self, of: Sum) -> int:
        squash = self._squash(of)
        return len(SQUASHES) if squash is None else SQUASHES.index(self.graph.nodes[squash].op)
