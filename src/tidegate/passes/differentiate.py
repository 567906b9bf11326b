"""Reverse-mode differentiation of one step: given the adjoints of its new states, those of all it depends on.

Rules are a table, written in terms of results where that spares saving an argument. Matrices are left to the
caller: the adjoint of an operand is a ``TRANSPOSE`` node, the adjoint of a matrix a product over all steps.

The adjoint of one number a row is kept divided by the length N of the row, which nobody knows when a cell is traced.
Where such a number meets a vector, its adjoint is the sum over N units, so what is kept is a ``MEAN``. A mean over k
vectors has the derivative 1 / (k N), so what is kept is right for each of them once divided by k. N never appears.

References:
    Werbos 1990, Backpropagation Through Time, Proceedings of the IEEE 78.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidegate.cell.function import sigmoid
from tidegate.cell.graph import OUTSIDE, Graph, Node, Op, is_narrow
from tidegate.cell.symbol import Symbol
from tidegate.errors import InternalError
from tidegate.passes.simplify import Simplifier

Rule = Callable[..., tuple[Symbol, ...]]
DEFERRED = frozenset({Op.STATE, *OUTSIDE})  # operands whose adjoint waits for the next step, or for the end
FIXED = frozenset({Op.GIVEN, Op.MASK, Op.CONST})  # leaves that nobody asks the adjoints of


def _greater(v: Symbol, w: Symbol | float) -> Symbol:
    return v.tracer.pointwise(Op.GREATER, v, w)


def _chosen_share(v: Symbol, w: Symbol) -> Symbol:
    """What of an adjoint goes to v where v is chosen over w: all, nothing, or half where they are equal."""
    return 0.5 * (1 + _greater(v, w) - _greater(w, v))


def _through(share: Symbol, grad: Symbol) -> Symbol:
    """The adjoint where the share is not 0. As a product, a NaN would come through everywhere, unlike in torch."""
    return grad.tracer.pointwise(Op.SELECT, share, grad)


def _to_either(grad: Symbol, *shares: Symbol) -> tuple[Symbol, ...]:
    return tuple(_through(share, grad * share) for share in shares)


def _mean_rule(grad: Symbol, out: Symbol, *vectors: Symbol) -> tuple[Symbol, ...]:  # noqa: ARG001  as every rule
    each = grad * (1 / len(vectors))
    return tuple(each.tracer.add(Node(Op.SPREAD, (each.index,), axis=vector.axis)) for vector in vectors)


def _variance_rule(grad: Symbol, out: Symbol, *vectors: Symbol) -> tuple[Symbol, ...]:  # noqa: ARG001
    middle, each = grad.tracer.reduce(Op.MEAN, *vectors), grad * (2 / len(vectors))
    return tuple((vector - middle) * each for vector in vectors)


def _within(v: Symbol, bound: Symbol) -> Symbol:
    """1 where clamping changes nothing, the ends included; else 0."""
    return (1 - _greater(v, bound)) * (1 - _greater(-v, bound))


def _at_bound(v: Symbol, bound: Symbol) -> Symbol:
    """The slope by the bound: 1 or -1 at the ends, 1 everywhere if it is negative, since then it is the value."""
    negative = _greater(-bound, bound)
    return negative + (1 - negative) * (_greater(v, bound) - _greater(-v, bound))


RULES: Mapping[Op, Rule] = {
    Op.ADD: lambda grad, out, v, w: (grad, grad),  # noqa: ARG005  every rule takes the same arguments
    Op.SUB: lambda grad, out, v, w: (grad, -grad),  # noqa: ARG005
    Op.MUL: lambda grad, out, v, w: (grad * w, grad * v),  # noqa: ARG005
    Op.DIV: lambda grad, out, v, w: (grad / w, -(grad * out) / w),  # noqa: ARG005
    Op.NEG: lambda grad, out, v: (-grad,),  # noqa: ARG005
    Op.MAXIMUM: lambda grad, out, v, w: _to_either(grad, _chosen_share(v, w), _chosen_share(w, v)),  # noqa: ARG005
    Op.MINIMUM: lambda grad, out, v, w: _to_either(grad, _chosen_share(w, v), _chosen_share(v, w)),  # noqa: ARG005
    Op.CLAMP: lambda grad, out, v, w: (_through(_within(v, w), grad), grad * _at_bound(v, w)),  # noqa: ARG005
    Op.SIGMOID: lambda grad, out, v: (grad * (out * (1 - out)),),  # noqa: ARG005
    Op.TANH: lambda grad, out, v: (grad * (1 - out * out),),  # noqa: ARG005
    Op.RELU: lambda grad, out, v: (_through(_greater(out, 0.0), grad),),  # noqa: ARG005
    Op.EXP: lambda grad, out, v: (grad * out,),  # noqa: ARG005
    Op.LOG: lambda grad, out, v: (grad / v,),  # noqa: ARG005
    Op.LOG_SIGMOID: lambda grad, out, v: (grad * sigmoid(-v),),  # noqa: ARG005
    Op.SQRT: lambda grad, out, v: (0.5 * grad / out,),  # noqa: ARG005
    Op.MEAN: _mean_rule,
    Op.VARIANCE: _variance_rule,
}


@dataclass(frozen=True)
class Adjoints:
    """What a step's derivative consists of, as indices into the tracer.

    Attributes:
        products: product node of the graph to its adjoint.
        leaves: leaf node of the graph to its adjoint. A state or the input as operand of a matrix is not
            counted: its share is made of the adjoints of the products. What is given has none.
    """

    products: Mapping[int, int]
    leaves: Mapping[int, int]


def differentiate(
    graph: Graph, tracer: Simplifier, primal: Sequence[Symbol], upstream: Mapping[int, Symbol]
) -> Adjoints:
    """Adjoints of every product and leaf, as new nodes of ``tracer``.

    Args:
        graph: the step.
        tracer: where nodes are added.
        primal: for each node of the graph its value in ``tracer``.
        upstream: for each new state's node the sum of the adjoints of the states that take its value.
    """
    adjoints = dict(upstream)
    varying = _varying(graph)
    by_units: dict[
        int, Symbol
    ] = {}  # adjoints of one number a row where it met vectors, summed before the mean is taken

    def add(index: int, grad: Symbol | None) -> None:
        if grad is not None and varying[index]:
            table = by_units if is_narrow(graph.nodes[index].axis) and not is_narrow(grad.axis) else adjoints
            table[index] = table[index] + grad if index in table else grad

    for index in reversed(range(len(graph.nodes))):  # every user of a value comes after it
        node = graph.nodes[index]
        if node.op not in DEFERRED:
            for matrix, operand, group in graph.products:
                if operand == index:
                    add(index, transposed(tracer, graph, matrix, group, adjoints))
        if index in by_units:
            add(index, tracer.reduce(Op.MEAN, by_units[index]))
        if index in adjoints and node.op is not Op.PRODUCT:
            for arg, grad in zip(node.args, _propagated(graph, node, adjoints[index], primal, index), strict=True):
                add(arg, grad)
    return Adjoints(
        {i: s.index for i, s in adjoints.items() if graph.nodes[i].op is Op.PRODUCT},
        {i: s.index for i, s in adjoints.items() if not graph.nodes[i].args},
    )


def _varying(graph: Graph) -> list[bool]:
    """For each node whether it depends on anything that has an adjoint."""
    varying: list[bool] = []
    for node in graph.nodes:
        own = node.op is Op.PRODUCT or (not node.args and node.op not in FIXED)
        varying.append(own or any(varying[arg] for arg in node.args))
    return varying


def transposed(
    tracer: Simplifier, graph: Graph, matrix: str, group: Sequence[int], adjoints: Mapping[int, Symbol]
) -> Symbol | None:
    """The adjoint of an operand: each block of rows, transposed, times the adjoint of its product."""
    reached = [index for index in group if index in adjoints]
    if not reached:
        return None
    blocks = " ".join(graph.nodes[index].name for index in reached)
    args = tuple(adjoints[index].index for index in reached)
    return tracer.add(Node(Op.TRANSPOSE, args, blocks, matrix, axis=graph.matrix(matrix).columns))


def _propagated(
    graph: Graph, node: Node, grad: Symbol, primal: Sequence[Symbol], index: int
) -> tuple[Symbol | None, ...]:
    """The adjoint of each argument, None for numbers."""
    if not node.args:
        return ()
    if node.op not in RULES:
        raise InternalError("NO_DERIVATIVE", f"there is no rule for the derivative of {node}", fix="please report this")
    grads = RULES[node.op](grad, primal[index], *(primal[arg] for arg in node.args))
    return tuple(g if graph.nodes[arg].axis else None for arg, g in zip(node.args, grads, strict=True))
