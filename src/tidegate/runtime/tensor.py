"""What each operation of a graph does to tensors."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce

import torch

from tidegate.cell.function import ARITHMETIC, Table, register
from tidegate.cell.graph import Op

Value = torch.Tensor | float


def _number(value: float, like: torch.Tensor) -> torch.Tensor:
    """In the type of ``like`` at once: by way of torch's default type it would lose digits."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device)


def _with_numbers(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Value, Value], Value]:
    """Let a function of two tensors take a number in either place."""

    def call(v: Value, w: Value) -> Value:
        kind = v if isinstance(v, torch.Tensor) else w
        assert isinstance(kind, torch.Tensor)
        return function(*(x.to(kind) if isinstance(x, torch.Tensor) else _number(x, kind) for x in (v, w)))

    return call


def _mean(*values: torch.Tensor) -> torch.Tensor:
    means = [value.mean(-1, keepdim=True) for value in values]
    return reduce(operator.add, means) / len(means)


def _variance(*values: torch.Tensor) -> torch.Tensor:
    middle = _mean(*values)
    return _mean(*((value - middle).square() for value in values))


TENSORS: Table = {
    **ARITHMETIC,
    Op.MAXIMUM: _with_numbers(torch.maximum),
    Op.MINIMUM: _with_numbers(torch.minimum),
    Op.CLAMP: _with_numbers(lambda v, bound: torch.clamp(v, -bound, bound)),
    Op.SIGMOID: torch.sigmoid,
    Op.TANH: torch.tanh,
    Op.RELU: torch.relu,
    Op.EXP: torch.exp,
    Op.LOG: torch.log,
    Op.LOG_SIGMOID: torch.nn.functional.logsigmoid,
    Op.SQRT: torch.sqrt,
    Op.MEAN: _mean,
    Op.VARIANCE: _variance,
}
register(torch.Tensor, TENSORS)
