"""What a gradient by lag cannot exceed: products of the norms of Jacobians, and their suprema.

References:
    Pascanu, Mikolov & Bengio 2013, On the Difficulty of Training Recurrent Neural Networks, arXiv 1211.5063.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from tidegate.cell import Graph, Op
from tidegate.cell.graph import OUTSIDE, UNARY
from tidegate.explain.probe import Trajectory
from tidegate.explain.step import StepFunction
from tidegate.runtime import TENSORS

TEXTBOOK, SUPREMUM = "(beta_f beta_W)^lag", "sup |J|^lag"
LINEAR = frozenset({Op.VECTOR, Op.CONST, *OUTSIDE})


@dataclass(frozen=True)
class Bound:
    """What |dL/ds| at a lag over that at lag 1 cannot exceed: ``ratio <= product <= supremum``, in log10.

    Attributes:
        name: ``"(beta_f beta_W)^lag"`` for cells h' = f(W x + U h), else ``"sup |J|^lag"``.
        product: the sum of log10 |J| over the steps between, [lags, sequences], with spectral norms.
        supremum: lag - 1 times log10 of ``factor``.
        factor: beta_f beta_W, or the largest |J| along the run; one for each sequence.
        beta_f: the largest |f'| along the run, for each sequence; None unless the cell is h' = f(W x + U h).
        beta_w: the spectral norm of U; None likewise.
    """

    name: str
    product: torch.Tensor
    supremum: torch.Tensor
    factor: torch.Tensor
    beta_f: torch.Tensor | None = None
    beta_w: float | None = None


class Form(NamedTuple):
    """A cell h' = f(a) with a linear in the input and the state.

    Attributes:
        function: f; None for the identity.
        argument: the node of a.
    """

    function: Op | None
    argument: int


def textbook_form(graph: Graph) -> Form | None:
    """How the cell is of the form h' = f(W x + U h + b); None if it is not.

    U may be a matrix or, as in an IndRNN, one number for each unit.

    Args:
        graph: the cell.

    Example:
        >>> from tidegate import zoo
        >>> from tidegate.explain import textbook_form
        >>> textbook_form(zoo.RNN.graph) is not None, textbook_form(zoo.LSTM.graph) is None
        (True, True)
    """
    if len(graph.states) != 1:
        return None
    index = graph.updates[0]
    node = graph.nodes[index]
    form = Form(node.op, node.args[0]) if node.op in UNARY else Form(None, index)
    return form if _is_linear(graph, form.argument) else None


def _is_linear(graph: Graph, index: int) -> bool:
    """Whether a value is a sum of products of the input, products of the state, and parameters."""
    node = graph.nodes[index]
    if node.op in {Op.ADD, Op.SUB, Op.NEG}:
        return all(_is_linear(graph, arg) for arg in node.args)
    if node.op is Op.PRODUCT:
        return graph.nodes[node.args[0]].op in {*OUTSIDE, Op.STATE}
    if node.op is Op.MUL:
        return {graph.nodes[arg].op for arg in node.args} in ({Op.VECTOR, Op.STATE}, {Op.CONST, Op.STATE})
    return node.op in LINEAR or node.op is Op.STATE


def bounds(step: StepFunction, run: Trajectory, ends: torch.Tensor, counts: torch.Tensor, sign: int) -> Bound:
    """The bounds of some sequences.

    Args:
        step: of the layer.
        run: what its steps read, of these sequences.
        ends: the step of lag 0 of each.
        counts: the number of lags of each.
        sign: of the direction in which lags go, -1 towards the first step.
    """
    lags, count = int(counts.max()), len(ends)
    between = torch.arange(lags)[:, None] + 0 * ends
    used = (between >= 1) & (between <= counts - 2)  # from lag k to k + 1 leads the Jacobian of the step at lag k
    steps, row = (ends + sign * between)[used], torch.arange(count).expand(lags, -1)[used]
    x, state = run.x[steps, row], run.before[steps, row]
    norms = torch.zeros(lags, count, dtype=state.dtype)
    parts = [_norms(step.jacobians(x[at], state[at])) for at in step.in_parts(len(x))]
    norms[used] = torch.cat([*parts, norms.new_zeros(0)]).log10()
    product = torch.cat([norms.new_zeros(1, count), norms[:-1].cumsum(0)])
    form, beta_f, beta_w = textbook_form(step.graph) if step.alone else None, None, None
    if form is None:
        factor = norms.masked_fill(~used, -math.inf).amax(0)
    else:
        slopes = torch.zeros(lags, count, dtype=state.dtype)
        slopes[used] = _slopes(step, form, x, state)
        beta_f, beta_w = slopes.amax(0), _spectral_norm(step, form, x.new_zeros(1, step.features))
        factor = (beta_f * beta_w).log10()
    powers = (between - 1).clamp(min=0)
    supremum = torch.where(powers > 0, factor * powers, 0.0)
    there = between < counts
    product, supremum = (v.masked_fill(~there | (between < 1), math.nan) for v in (product, supremum))
    return Bound(SUPREMUM if form is None else TEXTBOOK, product, supremum, 10**factor, beta_f, beta_w)


def _norms(found: torch.Tensor) -> torch.Tensor:
    """Spectral norms [N]; NaN where a Jacobian has no numbers, as after an overflow."""
    finite = found.isfinite().all(-1).all(-1)
    norms = found.new_full((len(found),), math.nan)
    norms[finite] = torch.linalg.matrix_norm(found[finite], 2)
    return norms


def _slopes(step: StepFunction, form: Form, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
    """The largest |f'| among the units of each row."""
    a = step.nodes(x, state)[form.argument].value.detach().requires_grad_()
    if form.function is None:
        return a.new_ones(len(a))
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(TENSORS[form.function](a).sum(), a)
    return slope.abs().amax(-1)


def _spectral_norm(step: StepFunction, form: Form, x: torch.Tensor) -> float:
    """Of the matrix by which the state enters a."""
    (matrix,) = step.nodes(x, x.new_zeros(1, step.size))[form.argument].by.values()
    return float(matrix.abs().max() if matrix.dim() == 2 else torch.linalg.matrix_norm(matrix, 2).max())
