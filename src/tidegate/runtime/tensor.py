"""What each operation of a graph does to tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tidegate.spec.function import ARITHMETIC, Table, register
from tidegate.spec.graph import Op

Value = torch.Tensor | float


def _with_numbers(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Callable[[Value, Value], Value]:
    """Let a function of two tensors take a number in either place."""

    def call(v: Value, w: Value) -> Value:
        kind = v if isinstance(v, torch.Tensor) else w
        assert isinstance(kind, torch.Tensor)
        return function(torch.as_tensor(v).to(kind), torch.as_tensor(w).to(kind))

    return call


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
}
register(torch.Tensor, TENSORS)
