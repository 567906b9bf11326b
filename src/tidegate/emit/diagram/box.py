"""From graph to boxes, at the level at which textbooks draw cells.

A layer is one box: matrices, sum, bias and function. Products and sums of values are circles, functions of one value
pills. Subtraction and division become a pill "−" or "1 /" before a sum or product, so that no circle has a first input.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.cell.graph import REDUCTIONS, Graph, Op
from tidegate.cell.norm import normal_at
from tidegate.emit.diagram import label
from tidegate.errors import EmitError

LAYER, PILL, CIRCLE, VALUE = "layer", "pill", "circle", "value"
OUTER = frozenset({Op.INPUT, Op.GIVEN, Op.STATE, Op.MASK})
SIGNS = {Op.ADD: "+", Op.MUL: "×", Op.MAXIMUM: "max", Op.MINIMUM: "min", Op.CLAMP: "clamp"}
MOST_INPUTS = 3  # of a circle, which has a fourth side for what comes out
WIDEST = 110.0  # pixels of a formula in a box; longer ones are cut
MOST_BOXES = 250  # of a drawing that anybody could read
LONGEST_FACTOR = 90.0  # pixels of what is made of parameters; longer formulas get a letter


class Source(NamedTuple):
    """Where a line begins: a box by its number, or what enters the cell by its node."""

    kind: str  # "box" or "outer"
    at: int


class Input(NamedTuple):
    """A line into a box; ``weighted`` if a matrix stands between."""

    source: Source
    weighted: bool = False


@dataclass
class Box:
    """A box of the diagram.

    Attributes:
        kind: layer, pill, circle, or a value that is made of parameters alone.
        text: what it computes.
        inputs: the lines into it.
        name: of the gate that it is, or empty.
    """

    kind: str
    text: str
    inputs: tuple[Input, ...]
    name: str = ""


@dataclass
class Reading:
    """Reads a graph as boxes.

    Attributes:
        graph: the cell.
        boxes: in an order in which each comes after its inputs.
        letters: short names of long formulas of parameters, with node and formula.
    """

    graph: Graph
    boxes: list[Box] = field(default_factory=list)
    letters: dict[str, tuple[int, str]] = field(default_factory=dict)
    _known: dict[int, Source] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.graph
        ends = [*graph.updates, *(node for _, node in graph.gates)]
        self._constant = self._constants()
        self._args = [self._effective(index) for index in range(len(graph.nodes))]
        reached, waiting = set[int](), list(ends)
        while waiting:
            if (index := waiting.pop()) not in reached:
                reached.add(index)
                waiting += self._args[index]
        uses = Counter(arg for index in reached for arg in self._args[index])
        self._cuts = {i for i in reached if uses[i] > 1} | set(ends)
        self._letter(reached)
        self._cuts |= {self.graph.nodes[i].args[0] for i in reached if graph.nodes[i].op is Op.PRODUCT}
        for _, node in sorted(graph.reported.items(), key=lambda pair: pair[1]):
            self.source(node)
        if len(self.boxes) > MOST_BOXES:
            text = f"the diagram of {graph.name} would have {len(self.boxes)} boxes, more than {MOST_BOXES}"
            raise EmitError("DIAGRAM_SIZE", text, fix="print its equations: tidegate cells, or emit.equation.plain")
        output = (graph.output.name, graph.updates[0])
        for name, node in graph.gates:
            if (found := self._known[node]).kind == "box" and (name, node) != output:
                self.boxes[found.at].name = label.now(name)

    def _constants(self) -> list[bool]:
        """For each node whether it is made of parameters and numbers alone."""
        found: list[bool] = []
        for node in self.graph.nodes:
            leaf = node.op in {Op.CONST, Op.VECTOR}
            found.append(leaf or (bool(node.args) and node.op is not Op.PRODUCT and all(found[a] for a in node.args)))
        return found

    def _letter(self, reached: set[int]) -> None:
        """Give a letter to what is made of parameters alone and is too long for a box."""
        read = {arg for index in reached for arg in self.graph.nodes[index].args if self._constant[arg]}
        for index in sorted(read - reached):
            text = label.formula(self.graph, index, None)
            if label.width(text) > LONGEST_FACTOR:
                self.letters[f"φ_{{{len(self.letters) + 1}}}"] = (index, text)

    def _effective(self, index: int) -> tuple[int, ...]:
        """The arguments that a reader sees: a layer norm has its values, and parameters are part of a formula."""
        if self._constant[index]:
            return ()
        normal = normal_at(self.graph, index)
        args = normal.values if normal else self.graph.nodes[index].args
        return tuple(arg for arg in args if not self._constant[arg])

    def source(self, index: int) -> Source:
        """Where the value of a node comes from; makes its box where there is none."""
        if index not in self._known:
            outer = self.graph.nodes[index].op in OUTER
            self._known[index] = Source("outer", index) if outer else self._make(index)
        return self._known[index]

    def _box(self, kind: str, text: str, inputs: tuple[Input, ...] = ()) -> Source:
        self.boxes.append(Box(kind, text, inputs))
        return Source("box", len(self.boxes) - 1)

    def _make(self, index: int) -> Source:
        if self._constant[index]:
            return self._box(VALUE, self._formula(index))
        core = self._core(index)
        terms = self._terms(core) if core == index or core not in self._cuts else [(core, False)]
        weighted = [term for term, negative in terms if self._is_weighted(term, index) and not negative]
        rest = [(term, negative) for term, negative in terms if term not in weighted]
        plain = [(term, negative) for term, negative in rest if not self._constant[term]]
        numbers = [(n, negative) for n, negative in rest if self._constant[n] and not (weighted and self._is_bias(n))]
        text = self._formula(index, core)
        if weighted and not (plain and label.scales(text)):
            return self._layer(text, weighted, plain, numbers)
        if core != index:
            return self._box(PILL, label.shortened(text), (Input(self.source(core)),))
        return self._several(index, weighted, plain, numbers)

    def _core(self, index: int) -> int:
        """The node inside the longest chain of functions of one value that fits into one box."""
        core = fitting = index
        while self._is_function(core) and (core == index or core not in self._cuts):
            if any(self._is_weighted(term, index) for term, _ in self._terms(core)):
                break  # a layer, to whose sum a parameter is added
            (core,) = self._args[core]
            if fitting == index or label.width(label.shortened(self._formula(index, core))) <= WIDEST:
                fitting = core
        return fitting

    def _is_function(self, index: int) -> bool:
        node = self.graph.nodes[index]
        if normal_at(self.graph, index) or len(self._args[index]) != 1 or node.op in REDUCTIONS | {Op.PRODUCT}:
            return False
        return len(node.args) == 1 or any(self._constant[arg] for arg in node.args)

    def _is_weighted(self, term: int, index: int) -> bool:
        return self.graph.nodes[term].op is Op.PRODUCT and (term == index or term not in self._cuts)

    def _is_bias(self, index: int) -> bool:
        node = self.graph.nodes[index]
        return node.op is Op.VECTOR and node.matrix.removeprefix("bias_") in {m.name for m in self.graph.matrices}

    def _terms(self, index: int, negative: bool = False, *, first: bool = True) -> list[tuple[int, bool]]:
        """The terms of a sum, each with whether it is subtracted."""
        node = self.graph.nodes[index]
        if node.op not in {Op.ADD, Op.SUB} or self._constant[index] or not (first or index not in self._cuts):
            return [(index, negative)]
        left, right = node.args
        terms = self._terms(left, negative, first=False)
        return terms + self._terms(right, negative != (node.op is Op.SUB), first=False)

    def _factors(self, index: int, inverse: bool = False, *, first: bool = True) -> list[tuple[int, bool]]:
        """The factors of a product, each with whether it divides; a factor that is a parameter stays with its value."""
        node = self.graph.nodes[index]
        inner = node.op in {Op.MUL, Op.DIV} and len(self._args[index]) == 2 and not normal_at(self.graph, index)
        if not inner or not (first or index not in self._cuts):
            return [(index, inverse)]
        left, right = node.args
        factors = self._factors(left, inverse, first=False)
        return factors + self._factors(right, inverse != (node.op is Op.DIV), first=False)

    def _layer(
        self, text: str, weighted: list[int], plain: list[tuple[int, bool]], numbers: list[tuple[int, bool]]
    ) -> Source:
        nodes = [self.graph.nodes[term] for term in weighted]
        operands = dict.fromkeys(self.source(node.args[0]) for node in nodes)
        text = label.with_terms(text, [label.signed(self._formula(n), negative=negative) for n, negative in numbers])
        symbol = label.name(nodes[0].matrix, nodes[0].name) if len(nodes) == 1 else ""
        added = [self._signed(term, negative, "−") for term, negative in plain]
        if len(added) > MOST_INPUTS - 1:
            added = [self._several_of(CIRCLE, "+", added)]
        inputs = [Input(source, weighted=True) for source in operands] + [Input(source) for source in added]
        return self._box(LAYER, label.of_layer(text, symbol), tuple(inputs))

    def _several(
        self, index: int, weighted: list[int], plain: list[tuple[int, bool]], numbers: list[tuple[int, bool]]
    ) -> Source:
        """The box of what is computed of several values."""
        node = self.graph.nodes[index]
        if normal := normal_at(self.graph, index):
            text = "LN" if len(normal.values) == 1 else f"LN_{{{normal.values.index(normal.chosen) + 1}}}"
            return self._several_of(PILL, text, [self.source(value) for value in normal.values])
        if node.op in REDUCTIONS:
            text = label.NOTATION.reductions[node.op].format("").removesuffix("()")
            return self._several_of(PILL, text, [self.source(value) for value in node.args])
        if node.op in {Op.MUL, Op.DIV}:
            factors = self._factors(index)
            return self._several_of(CIRCLE, "×", [self._signed(factor, inverse, "1 /") for factor, inverse in factors])
        if node.op not in {Op.ADD, Op.SUB}:
            return self._several_of(PILL, SIGNS[node.op], [self.source(value) for value in node.args])
        parts = [self._layer(label.HOLE, weighted, [], [])] if weighted else []
        parts += [self._signed(term, negative, "−") for term, negative in plain]
        total = self._several_of(CIRCLE, "+", parts) if len(parts) > 1 else parts[0]
        for term, negative in numbers:
            text = label.signed(self._formula(term), negative=negative)
            total = self._box(PILL, text, (Input(total),))
        return total

    def _several_of(self, kind: str, text: str, sources: list[Source]) -> Source:
        """One box, or a row of them where there are more inputs than sides."""
        while len(sources) > MOST_INPUTS and kind == CIRCLE:
            first = self._box(kind, text, tuple(map(Input, sources[:MOST_INPUTS])))
            sources = [first, *sources[MOST_INPUTS:]]
        return self._box(kind, text, tuple(map(Input, sources)))

    def _signed(self, index: int, turned: bool, sign: str) -> Source:
        """A value, perhaps behind a pill that negates or inverts it."""
        source = self.source(index)
        if not turned:
            return source
        last = self.boxes[source.at] if source.kind == "box" and index not in self._cuts else None
        if last and last.kind == PILL and (text := label.turned(sign, last.text)):
            last.text = text
            return source
        return self._box(PILL, sign, (Input(source),))

    def _formula(self, top: int, hole: int | None = None) -> str:
        return label.formula(self.graph, top, hole, {node: name for name, (node, _) in self.letters.items()})
