"""Symbols: what a definition runs on when it is traced.

Every operation on a symbol appends a node to its tracer, once per distinct value. Whatever a
graph cannot express (a branch on a value, a loop over one, a call to another library) is rejected
here, with a fix.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from tidegate.cell.function import NUMBERS, register
from tidegate.cell.graph import BINARY, REDUCTIONS, UNARY, Node, Op, common_axis, is_narrow, narrow
from tidegate.errors import SpecError

Number = int | float


class Tracer:
    """Collects nodes; equal nodes are one (value numbering)."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[Node, int] = {}

    def add(self, node: Node) -> Symbol:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return Symbol(self, self._known[node], node.axis)

    def pointwise(self, op: Op, *args: Symbol | Number) -> Symbol:
        symbols = [self.lift(arg) for arg in args]
        if (number := self.folded(op, symbols)) is not None:
            return number
        axis = common_axis(symbol.axis for symbol in symbols)
        if axis is None:
            raise _widths(op, symbols, "bring one of them to the other's width with a matrix")
        return self.add(Node(op, tuple(symbol.index for symbol in symbols), axis=axis))

    def folded(self, op: Op, symbols: Sequence[Symbol]) -> Symbol | None:
        """The number that an operation on numbers gives; of a setting it is a setting again, named by what was done."""
        args = [self.nodes[symbol.index] for symbol in symbols]
        if op not in NUMBERS or any(arg.op is not Op.CONST for arg in args):
            return None
        try:
            value = NUMBERS[op](*(arg.value for arg in args))
        except (ArithmeticError, ValueError):
            return None
        if not math.isfinite(value):
            return None
        named = f"{op}({', '.join(arg.name or repr(arg.value) for arg in args)})"
        return self.add(Node(Op.CONST, name=named if any(arg.name for arg in args) else "", value=float(value)))

    def reduce(self, op: Op, *args: Symbol | Number) -> Symbol:
        """One number for each row, of all units of the arguments."""
        symbols = [self.lift(arg) for arg in args]
        axes = {symbol.axis for symbol in symbols}
        axis = axes.pop()
        if axes or not axis or is_narrow(axis):
            raise _widths(op, symbols, "pass vectors of one width: it is taken over their units")
        return self.add(Node(op, tuple(symbol.index for symbol in symbols), axis=narrow(axis)))

    def lift(self, value: object) -> Symbol:
        if isinstance(value, Symbol):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self.add(Node(Op.CONST, value=float(value)))
        raise SpecError(
            "OPERAND",
            f"cannot compute with {type(value).__name__} {value!r:.60}",
            fix="use symbols and numbers; of a namespace take one block, e.g. x.i or U(h).i",
        )


def _widths(op: Op, symbols: Sequence[Symbol], fix: str) -> SpecError:
    axes = sorted({symbol.axis or "a number" for symbol in symbols})
    return SpecError("WIDTHS", f"{op} of values of the widths {' and '.join(axes)}", fix=fix)


def _refuse(what: str, fix: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise SpecError("NOT_EXPRESSIBLE", f"a cell's equations cannot {what}", fix=fix)

    return refuse


def _binary(op: Op, swapped: bool = False) -> Callable[[Symbol, Any], Symbol]:
    def method(self: Symbol, other: Symbol | Number) -> Symbol:
        return self.tracer.pointwise(op, other, self) if swapped else self.tracer.pointwise(op, self, other)

    return method


_CHOOSE = "write the choice with sigmoid, relu, maximum or minimum; step must be the same for every value"
_USE_OURS = (
    "use the functions of tidegate.cell: sigmoid, tanh, relu, exp, log, log_sigmoid, sqrt, maximum, minimum, clamp, "
    "mean, variance"
)


class Symbol:
    """One value of a step that is being traced."""

    __slots__ = ("axis", "index", "tracer")

    def __init__(self, tracer: Tracer, index: int, axis: str) -> None:
        self.tracer, self.index, self.axis = tracer, index, axis

    __add__, __radd__ = _binary(Op.ADD), _binary(Op.ADD, swapped=True)
    __sub__, __rsub__ = _binary(Op.SUB), _binary(Op.SUB, swapped=True)
    __mul__, __rmul__ = _binary(Op.MUL), _binary(Op.MUL, swapped=True)
    __truediv__, __rtruediv__ = _binary(Op.DIV), _binary(Op.DIV, swapped=True)

    def __neg__(self) -> Symbol:
        return self.tracer.pointwise(Op.NEG, self)

    __bool__ = _refuse("branch on a value", _CHOOSE)
    __lt__ = __le__ = __gt__ = __ge__ = _refuse("compare values", _CHOOSE)
    __eq__ = _refuse("compare values", _CHOOSE)
    __ne__ = _refuse("compare values", _CHOOSE)
    __hash__ = object.__hash__
    __iter__ = __len__ = __getitem__ = _refuse("take single elements of a value", "equations act on whole vectors")
    __float__ = __int__ = __array__ = _refuse("turn a value into a number", _USE_OURS)
    __array_ufunc__ = _refuse("call another library", _USE_OURS)
    __torch_function__ = classmethod(_refuse("call another library", _USE_OURS))
    __pow__ = __rpow__ = _refuse("raise to a power", "multiply, or use exp and log")
    __matmul__ = __rmatmul__ = _refuse("multiply by a free matrix", "declare it: matrices = {'U': 'i f'}, then U(v).i")


class Namespace:
    """Named parts of one declared thing: ``x.i``, ``U(h).i``, ``p.i``."""

    __slots__ = ("_label", "_parts")

    def __init__(self, label: str, parts: Mapping[str, Callable[[], Any]]) -> None:
        self._label, self._parts = label, parts

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._parts:
            has = f"it has: {' '.join(self._parts) or 'none'}"
            raise SpecError(
                "NO_PART", f"{self._label} has no part {name!r}; {has}", fix="declare it or correct the name"
            )
        return self._parts[name]()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Names and values of the blocks."""
        return ((name, part()) for name, part in self._parts.items() if name != "raw")

    def __str__(self) -> str:
        return self._label


register(
    Symbol,
    {op: (lambda *args, op=op: _tracer_of(args).pointwise(op, *args)) for op in UNARY | BINARY}
    | {op: (lambda *args, op=op: _tracer_of(args).reduce(op, *args)) for op in REDUCTIONS},
)


def _tracer_of(args: tuple[Any, ...]) -> Tracer:
    return next(arg.tracer for arg in args if isinstance(arg, Symbol))
