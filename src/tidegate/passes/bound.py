"""Between which numbers each value of a cell lies, whatever its input, states and parameters are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tidegate.cell import Graph, Node, Op
from tidegate.cell.evaluate import evaluate
from tidegate.cell.function import NUMBERS

Interval = tuple[float, float]
ANYTHING: Interval = (-math.inf, math.inf)
RISING = (Op.SIGMOID, Op.TANH, Op.RELU, Op.EXP, Op.LOG_SIGMOID)


def bounds(graph: Graph) -> list[Interval]:
    """For each node the interval of its values, by interval arithmetic: (0, 1) for a gate, (-1, 1) for o * tanh(c).

    Args:
        graph: the cell.
    """

    def leaf(node: Node) -> Interval:
        return (node.value, node.value) if node.op is Op.CONST else ANYTHING

    def product(_node: Node, _operand: Interval) -> Interval:
        return ANYTHING

    return evaluate(graph, _TABLE, leaf, product)


def _rising(function: Callable[[float], float]) -> Callable[[Interval], Interval]:
    return lambda v: (function(v[0]), function(v[1]))


def _product(v: Interval, w: Interval) -> Interval:
    corners = [0.0 if 0.0 in (a, b) else a * b for a in v for b in w]
    return min(corners), max(corners)


def _unknown(*_: Interval) -> Interval:
    return ANYTHING


_TABLE: dict[Op, Callable[..., Any]] = {
    **dict.fromkeys(Op, _unknown),
    **{op: _rising(NUMBERS[op]) for op in RISING},
    Op.ADD: lambda v, w: (v[0] + w[0], v[1] + w[1]),
    Op.SUB: lambda v, w: (v[0] - w[1], v[1] - w[0]),
    Op.MUL: _product,
    Op.NEG: lambda v: (-v[1], -v[0]),
    Op.MAXIMUM: lambda v, w: (max(v[0], w[0]), max(v[1], w[1])),
    Op.MINIMUM: lambda v, w: (min(v[0], w[0]), min(v[1], w[1])),
    Op.CLAMP: lambda v, w: (max(v[0], -w[1]), min(v[1], w[1])),
}
