"""Derivatives of a step by the chain rule over the graph of its cell, for many states at once.

Each value carries its derivatives by what it depends on, in the form that they have: one number a unit where each unit
depends on itself alone, ``[N, width]``, and a matrix ``[N, width, width of the other]`` only where units meet. So the
derivative of U h is U itself, and most of a Jacobian is a sum of matrices with scaled rows. N is 1 where all agree.

References:
    Rall 1981, Automatic Differentiation, Lecture Notes in Computer Science 120: forward accumulation.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import torch
from torch.nn.functional import linear

from tidegate.cell import Graph, Node, Op
from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import REDUCTIONS, Matrix, Vector
from tidegate.passes.differentiate import RULES
from tidegate.runtime import TENSORS, SizedCell
from tidegate.runtime.heads import whole_parameters

By = Mapping[Hashable, torch.Tensor]
# Their rules are written with operators alone, which work on tensors as on symbols; torch differentiates the others.
SMOOTH = frozenset({Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.NEG, Op.SIGMOID, Op.TANH, Op.EXP, Op.LOG, Op.SQRT})


class Tangent(NamedTuple):
    """A value and its derivatives.

    Attributes:
        value: [N, width], or a number.
        by: its derivative by each variable that it depends on, [N, width] or [N, width, width of the variable].
    """

    value: torch.Tensor
    by: By


def variable(value: torch.Tensor, name: Hashable) -> Tangent:
    """A value that others are differentiated by."""
    return Tangent(value, {name: value.new_ones(1, value.shape[-1])})


def evaluated(
    cell: SizedCell,
    parameters: Sequence[torch.Tensor],
    x: Tangent,
    states: Sequence[Tangent],
    given: Sequence[Tangent] = (),
) -> list[Tangent]:
    """Every node of a cell in one step.

    Args:
        cell: with its widths.
        parameters: as the cell orders them.
        x: the input.
        states: before the step.
        given: what the cell reads beside the input, in its order.
    """
    graph, own = cell.graph, dict(zip(cell.parameters, parameters, strict=True))
    beside = dict(zip([value.name for value in graph.given], given, strict=True))
    named = {state.name: value for state, value in zip(graph.states, states, strict=True)}
    blocks = {v.name: _blocks(v, own[v.name], cell.widths) for v in graph.vectors}
    own = whole_parameters(graph, cell.widths, own)
    weights = {m.name: _blocks(m, own[f"weight_{m.name}"], cell.widths) for m in graph.matrices}
    biases = {m.name: _biases(graph, m.name, own, cell.widths) for m in graph.matrices}

    def leaf(node: Node) -> Tangent:
        if node.op is Op.INPUT:
            return x
        if node.op is Op.GIVEN:
            return beside[node.name]
        if node.op is Op.STATE:
            return named[node.name]
        number = torch.tensor(node.value, dtype=x.value.dtype) if node.op is Op.CONST else None
        return Tangent(blocks[node.matrix][node.name] if number is None else number, {})

    def product(node: Node, operand: Tangent) -> Tangent:
        weight = weights[node.matrix][node.name]
        value = linear(operand.value, weight, biases[node.matrix].get(node.name))
        of = {name: weight * one[:, None] if one.dim() == 2 else weight @ one for name, one in operand.by.items()}
        return Tangent(value, of)

    table = {op: partial(_reduced if op in REDUCTIONS else _pointwise, op) for op in TENSORS}
    found: list[Tangent] = evaluate(graph, table, leaf, product)
    return found


def placed(rows: Sequence[Tangent], columns: Mapping[Hashable, slice], count: int) -> torch.Tensor:
    """Derivatives as one matrix a row, [N, rows, columns], zeros where nothing depends.

    Args:
        rows: values that lie side by side.
        columns: where each variable lies.
        count: N.
    """
    widths = [row.value.shape[-1] for row in rows]
    whole = rows[0].value.new_zeros(count, sum(widths), max(at.stop for at in columns.values()))
    for row, width, end in zip(rows, widths, accumulate(widths), strict=True):
        for name, one in row.by.items():
            part = whole[:, end - width : end, columns[name]]
            if one.dim() == 2:
                part.diagonal(dim1=1, dim2=2).copy_(one.expand(count, -1))
            else:
                part.copy_(one.expand_as(part))
    return whole


def _blocks(parameter: Matrix | Vector, value: torch.Tensor, widths: Mapping[str, int]) -> dict[str, torch.Tensor]:
    parts = value.split([widths[block.axis] for block in parameter.blocks])
    return {block.name: part for block, part in zip(parameter.blocks, parts, strict=True)}


def _biases(
    graph: Graph, name: str, own: Mapping[str, torch.Tensor], widths: Mapping[str, int]
) -> dict[str, torch.Tensor]:
    biased = [block for block in graph.matrix(name).blocks if block.bias]
    return _blocks(Vector(name, tuple(biased)), own[f"bias_{name}"], widths) if biased else {}


def _pointwise(op: Op, *args: Tangent) -> Tangent:
    """What an operation makes of each unit."""
    values = [arg.value for arg in args]
    value: torch.Tensor = TENSORS[op](*values)
    by: dict[Hashable, torch.Tensor] = {}
    if any(arg.by for arg in args):
        for arg, slope in zip(args, _slopes(op, value, values), strict=True):
            for name, one in arg.by.items():
                added = slope * one if one.dim() == 2 else torch.atleast_1d(slope)[..., None] * one
                if one.shape[1] < value.shape[-1]:  # one number a row met a vector
                    added = added.expand(-1, value.shape[-1], -1)
                by[name] = _sum(by[name], added) if name in by else added
    return Tangent(value, by)


def _slopes(op: Op, value: torch.Tensor, values: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    """The derivative of a result by each argument, unit by unit."""
    if op in SMOOTH:
        return RULES[op](torch.ones((), dtype=value.dtype), value, *values)  # type: ignore[return-value]
    return _by_torch(op, [v.expand_as(value) for v in values])


def _by_torch(op: Op, values: Sequence[torch.Tensor]) -> Sequence[torch.Tensor]:
    with torch.enable_grad():
        leaves = [v.detach().clone().requires_grad_() for v in values]
        return torch.autograd.grad(TENSORS[op](*leaves).sum(), leaves)


def _reduced(op: Op, *args: Tangent) -> Tangent:
    """What a mean or a variance makes of all units of a row."""
    value = TENSORS[op](*(arg.value for arg in args))
    by: dict[Hashable, torch.Tensor] = {}
    for arg, slope in zip(args, _by_torch(op, [arg.value for arg in args]), strict=True):
        for name, one in arg.by.items():
            added = (slope * one)[:, None] if one.dim() == 2 else (slope[..., None] * one).sum(1, keepdim=True)
            by[name] = _sum(by[name], added) if name in by else added
    return Tangent(value, by)


def _sum(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The sum of two derivatives, each in its form."""
    if one.dim() == other.dim():
        return one + other
    matrix, diagonal = (one, other) if one.dim() == 3 else (other, one)
    shape = (max(len(matrix), len(diagonal)), diagonal.shape[1], matrix.shape[2])
    whole = matrix.expand(shape).clone()
    whole.diagonal(dim1=1, dim2=2).add_(diagonal)
    return whole
