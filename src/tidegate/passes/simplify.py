"""Equal values once, constants folded, operations that change nothing left out."""

from __future__ import annotations

from tidegate.cell.graph import BINARY, UNARY, Node, Op
from tidegate.cell.symbol import Number, Symbol, Tracer

COMMUTATIVE = frozenset({Op.ADD, Op.MUL})


class Simplifier(Tracer):
    """A tracer whose pointwise operations are simplified as they are made.

    Only what changes no finite result is left out: ``x + 0`` (but for the sign of a zero), ``x * 1``, ``--x``.
    ``x * 0`` stays, since x may be infinite.
    """

    def pointwise(self, op: Op, *args: Symbol | Number) -> Symbol:
        symbols = [self.lift(arg) for arg in args]
        if op in COMMUTATIVE:
            symbols.sort(key=lambda symbol: symbol.index)
        for simpler in (self.folded(op, symbols), self._unchanged(op, symbols)):
            if simpler is not None:
                return simpler
        return super().pointwise(op, *symbols)

    def copy(self, node: Node, args: tuple[Symbol, ...]) -> Symbol:
        """The node with other arguments."""
        if node.op in UNARY | BINARY:
            return self.pointwise(node.op, *args)
        indices = tuple(arg.index for arg in args)
        return self.add(Node(node.op, indices, node.name, node.matrix, node.value, node.axis))

    def _literal(self, symbol: Symbol) -> float | None:
        """The value of a constant that no setting can change."""
        node = self.nodes[symbol.index]
        return node.value if node.op is Op.CONST and not node.is_setting else None

    def _unchanged(self, op: Op, symbols: list[Symbol]) -> Symbol | None:
        if op is Op.NEG and self.nodes[symbols[0].index].op is Op.NEG:
            (inner,) = self.nodes[symbols[0].index].args
            return Symbol(self, inner, symbols[0].axis)
        if len(symbols) != 2:
            return None
        neutral = {Op.ADD: 0.0, Op.SUB: 0.0, Op.MUL: 1.0, Op.DIV: 1.0}.get(op)
        if neutral is None:
            return None
        if self._literal(symbols[1]) == neutral:
            return symbols[0]
        return symbols[1] if op in COMMUTATIVE and self._literal(symbols[0]) == neutral else None
