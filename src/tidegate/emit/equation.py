"""Equations of a graph in any infix notation: one line for each gate and each new state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tidegate.cell.graph import REDUCTIONS, UNARY, Graph, Node, Op
from tidegate.cell.norm import Normal, normal_at
from tidegate.errors import EmitError

SUM, TERM, ATOM = 1, 2, 3  # how tightly a piece of text binds
MOST_WRITTEN, MOST_NESTED = 2_000, 100  # operations of one equation; nobody reads a longer one

Piece = tuple[str, int]


@dataclass(frozen=True)
class Rule:
    """How an operation is written: a template, how tightly it binds, and what its arguments need."""

    template: str
    binds: int
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Notation:
    """A way of writing equations.

    Attributes:
        rules: the pointwise operations.
        norm: templates of a layer norm, of one value and of several: those, and which one is meant.
        reductions: templates of those that take any number of arguments.
        parentheses: template around a piece that binds too loosely.
        now: the name of a value of this step.
        before: the name of a state before this step.
        input: the input.
        leaf: the name of a vector or a mask.
        matrix: the name of a row block of a matrix.
        heads: template of a matrix with heads, of its name and their number.
        bias: the name of a row block of a bias.
        number: a constant.
        scale: a constant times a vector.
    """

    rules: Mapping[Op, Rule]
    norm: tuple[str, str]
    reductions: Mapping[Op, str]
    parentheses: str
    now: Callable[[str], str]
    before: Callable[[str], str]
    input: str
    leaf: Callable[[str], str]
    matrix: Callable[[str, str], str]
    heads: str
    bias: Callable[[str, str], str]
    number: Callable[[float], str]
    scale: Rule


def infix(sign: str, binds: int, right: int | None = None) -> Rule:
    """A binary rule; ``right`` is what the second argument needs, where that is more than ``binds``."""
    return Rule("{0}" + sign + "{1}", binds, (binds, binds if right is None else right))


def equations(graph: Graph, notation: Notation) -> list[tuple[str, str]]:
    """Pairs of left and right side, in the order of computation.

    Raises:
        EmitError: an equation is longer, or nested deeper, than anybody could read.
    """
    check_length(graph)
    lines = []
    names: dict[int, str] = {}
    for name, index in graph.reported.items():
        known = names.get(index)
        right = notation.now(known) if known else Writer(graph, notation, names).write(index)[0]
        lines.append((notation.now(name), right))
        names.setdefault(index, name)
    return lines


def check_length(graph: Graph) -> None:
    """A value without a name is written out wherever it is read, so what is short in a graph may be endless in text."""
    lines = {index: name for name, index in graph.reported.items()}
    written, nested = list[int](), list[int]()
    for index, node in enumerate(graph.nodes):
        count = min(1 + sum(written[arg] for arg in node.args), MOST_WRITTEN + 1)
        depth = 1 + max((nested[arg] for arg in node.args), default=0)
        if index in lines and (count > MOST_WRITTEN or depth > MOST_NESTED):
            raise EmitError(
                "EQUATION_SIZE",
                f"the equation of {lines[index]} in {graph.name} has more than {MOST_WRITTEN:,} operations, or more "
                f"than {MOST_NESTED} inside one another",
                fix="declare some of its parts as gates, which get equations of their own",
            )
        written.append(1 if index in lines else count)
        nested.append(1 if index in lines else depth)


@dataclass
class Writer:
    """Writes single values of a graph in one notation."""

    graph: Graph
    notation: Notation
    names: Mapping[int, str]  # values that have a line of their own already

    def write(self, index: int) -> Piece:
        node = self.graph.nodes[index]
        if index in self.names:
            return self.notation.now(self.names[index]), ATOM
        if node.op is Op.CONST:
            return self.notation.number(node.value), (ATOM if node.value >= 0 else SUM)
        if node.op is Op.STATE:
            return self.notation.before(node.name), ATOM
        if node.op is Op.INPUT:
            return self.notation.input, ATOM
        if node.op is Op.GIVEN:
            return self.notation.now(node.name), ATOM
        if node.op is Op.VECTOR:
            return self._vector(node), ATOM
        if node.op is Op.MASK:
            return self.notation.leaf(node.name), ATOM
        if node.op is Op.PRODUCT:
            return self._product(node)
        if normal := normal_at(self.graph, index):
            return self._normal(normal)
        if node.op in REDUCTIONS:
            inside = ", ".join(self.write(arg)[0] for arg in node.args)
            return self.notation.reductions[node.op].format(inside), ATOM
        rule = self.notation.scale if self._scales(node) else self.notation.rules[node.op]
        parts = [self._at_least(need, self.write(arg)) for need, arg in zip(rule.needs, node.args, strict=True)]
        return rule.template.format(*parts), rule.binds

    def _vector(self, node: Node) -> str:
        kind, _, matrix = node.matrix.partition("_")
        if kind == "bias" and matrix in {m.name for m in self.graph.matrices}:
            return self.notation.bias(matrix, node.name)
        blocks = self.graph.vector(node.matrix).blocks
        return self.notation.leaf(node.matrix if len(blocks) == 1 else f"{node.matrix}_{node.name}")

    def _normal(self, normal: Normal) -> Piece:
        """``layer_norm(v)``, and of several values which one: ``layer_norm(U h[t-1]).i``."""
        first = self.graph.nodes[normal.values[0]]
        group = {(matrix, operand): nodes for matrix, operand, nodes in self.graph.products}
        if first.op is Op.PRODUCT and group[first.matrix, first.args[0]] == normal.values and len(normal.values) > 1:
            matrix = self._with_heads(first.matrix, self.notation.leaf(first.matrix))
            text = f"{matrix} {self._at_least(ATOM, self.write(first.args[0]))}"
            return self.notation.norm[1].format(text, self.graph.nodes[normal.chosen].name), ATOM
        text = ", ".join(self.write(value)[0] for value in normal.values)
        if len(normal.values) == 1:
            return self.notation.norm[0].format(text), ATOM
        return self.notation.norm[1].format(text, normal.values.index(normal.chosen) + 1), ATOM

    def _scales(self, node: Node) -> bool:
        return node.op is Op.MUL and self.graph.nodes[node.args[0]].op is Op.CONST

    def _product(self, node: Node) -> Piece:
        block = next(b for b in self.graph.matrix(node.matrix).blocks if b.name == node.name)
        matrix = self._with_heads(node.matrix, self.notation.matrix(node.matrix, node.name))
        text = f"{matrix} {self._at_least(ATOM, self.write(node.args[0]))}"
        return (f"{text} + {self.notation.bias(node.matrix, node.name)}", SUM) if block.bias else (text, TERM)

    def _with_heads(self, matrix: str, name: str) -> str:
        heads = self.graph.matrix(matrix).heads
        return name if heads == 1 else self.notation.heads.format(name, heads)

    def _at_least(self, need: int, piece: Piece) -> str:
        text, binds = piece
        return text if binds >= need else self.notation.parentheses.format(text)


PLAIN = Notation(
    rules={
        Op.ADD: infix(" + ", SUM),
        Op.SUB: infix(" - ", SUM, right=TERM),
        Op.MUL: infix(" * ", TERM),
        Op.DIV: infix(" / ", TERM, right=ATOM),
        Op.NEG: Rule("-{0}", SUM, (TERM,)),
        **{op: Rule(f"{op}({{0}})", ATOM, (0,)) for op in UNARY - {Op.NEG}},
        **{op: Rule(f"{op}({{0}}, {{1}})", ATOM, (0, 0)) for op in (Op.MAXIMUM, Op.MINIMUM, Op.CLAMP)},
    },
    norm=("layer_norm({0})", "layer_norm({0}).{1}"),
    reductions={op: f"{op}({{}})" for op in REDUCTIONS},
    parentheses="({})",
    now=lambda name: f"{name}[t]",
    before=lambda name: f"{name}[t-1]",
    input="x[t]",
    leaf=lambda name: name,
    matrix=lambda matrix, block: f"{matrix}_{block}",
    heads="{0}[{1} heads]",
    bias=lambda matrix, block: f"b_{block}" if matrix == "W" else f"b{matrix}_{block}",
    number=lambda value: f"{value:.12g}",
    scale=infix(" * ", TERM),
)


def plain(graph: Graph) -> str:
    """The equations as plain text, one a line, for terminals and error messages."""
    lines = equations(graph, PLAIN)
    width = max(len(left) for left, _ in lines)
    return "\n".join(f"{left:<{width}} = {right}" for left, right in lines)
