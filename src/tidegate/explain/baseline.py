"""What contributions are counted from: the baseline of each argument."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tidegate.errors import InputError
from tidegate.explain.arguments import Arguments


def starts(arguments: Arguments, baseline: Any) -> list[Tensor | None]:
    """The baseline of each argument, as wide as it; None where nobody gave one, and for what is no tensor.

    Numbers begin at zeros unless a baseline says otherwise. Tokens have one only if it consists of tokens.

    Args:
        arguments: of the call.
        baseline: a number or a tensor, or a tuple of them, one for each argument.

    Raises:
        InputError: a baseline that does not fit.
    """
    values = arguments.values
    several = isinstance(baseline, (tuple, list))
    if several and len(baseline) != len(values):
        raise InputError(
            "BASELINE",
            f"baseline has {len(baseline)} parts, but x has {len(values)} arguments",
            fix="pass one for each, None for zeros",
        )
    given = baseline if several else [baseline] * len(values)
    if isinstance(baseline, Tensor):
        given = [baseline, *[None] * (len(values) - 1)]
    return [_start(value, own) for value, own in zip(values, given, strict=True)]


def _start(value: Any, baseline: Any) -> Tensor | None:
    if not isinstance(value, Tensor) or value.dtype is torch.bool:
        return None
    if baseline is None:
        return torch.zeros_like(value) if value.is_floating_point() else None
    try:
        start = torch.as_tensor(baseline)
        if start.is_floating_point() and not value.is_floating_point():
            return None
        return start.detach().to(value.dtype).broadcast_to(value.shape).clone()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            "BASELINE",
            f"baseline is {_described(baseline)}, which does not fit an argument of shape {list(value.shape)}",
            fix="pass a number, or a tensor shaped as x",
        ) from error


def _described(baseline: Any) -> str:
    return f"a tensor {list(baseline.shape)}" if isinstance(baseline, Tensor) else f"{baseline!r:.40}"
