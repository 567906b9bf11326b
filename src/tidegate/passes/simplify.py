"""Equal values once, constants folded, operations that change nothing left out."""

from __future__ import annotations

import math

from tidegate.cell.function import NUMBERS
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
        numbers = [self._number(symbol) for symbol in symbols]
        for simpler in (self._folded(op, numbers), self._unchanged(op, symbols, numbers)):
            if simpler is not None:
                return simpler
        return super().pointwise(op, *symbols)

    def copy(self, node: Node, args: tuple[Symbol, ...]) -> Symbol:
        """The node with other arguments."""
        if node.op in UNARY | BINARY:
            return self.pointwise(node.op, *args)
        indices = tuple(arg.index for arg in args)
        return self.add(Node(node.op, indices, node.name, node.matrix, node.value, node.axis))

    def _number(self, symbol: Symbol) -> float | None:
        node = self.nodes[symbol.index]
        return node.value if node.op is Op.CONST else None

    def _folded(self, op: Op, numbers: list[float | None]) -> Symbol | None:
        known = [number for number in numbers if number is not None]
        if len(known) < len(numbers) or op not in NUMBERS:
            return None
        try:
            value = NUMBERS[op](*known)
        except (ArithmeticError, ValueError):
            return None
        return self.lift(value) if math.isfinite(value) else None

    def _unchanged(self, op: Op, symbols: list[Symbol], numbers: list[float | None]) -> Symbol | None:
        if op is Op.NEG and self.nodes[symbols[0].index].op is Op.NEG:
            (inner,) = self.nodes[symbols[0].index].args
            return Symbol(self, inner, symbols[0].axis)
        if len(symbols) != 2:
            return None
        neutral = {Op.ADD: 0.0, Op.SUB: 0.0, Op.MUL: 1.0, Op.DIV: 1.0}.get(op)
        if neutral is None:
            return None
        if numbers[1] == neutral:
            return symbols[0]
        return symbols[1] if op in COMMUTATIVE and numbers[0] == neutral else None
