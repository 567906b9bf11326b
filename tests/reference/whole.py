"""Products of int8 matrices in whole numbers, as ``engine/int8.h`` states them; NumPy's, exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode

Array = npt.NDArray[Any]
LARGEST, UPPER, LOWER = np.float32(127), 2**15 - 1, -(2**15)
LEAST = np.float32(2.0**-112)  # what is smaller is zero


def weight(matrix: Array) -> tuple[Array, Array]:
    """Of a weight [N, K] of float32 its whole numbers and the scale of each row."""
    most = np.abs(matrix).max(1)
    scale = (most / np.float32(LARGEST)).astype(np.float32)
    whole = np.rint(matrix / np.where(scale > 0, scale, np.float32(1))[:, None])
    return whole.astype(np.int64), scale


def from_outside(rows: Array) -> tuple[Array, Array]:
    """Of rows [R, K] the whole numbers of 16 bits, and the unit of each row, a power of two."""
    most = np.abs(rows).max(1)
    bits = 15 - np.frexp(np.maximum(most, LEAST))[1]
    whole = np.clip(np.rint(np.ldexp(rows.astype(np.float64), bits[:, None])), LOWER, UPPER)
    return whole.astype(np.int64), np.ldexp(1.0, -bits)


def of_states(rows: Array) -> tuple[Array, Array]:
    """The same of 8 bits: what is multiplied by 127 over the largest, in float32."""
    most = np.abs(rows).max(1)
    up = np.where(most < LEAST, np.float32(0), LARGEST / np.maximum(most, LEAST))
    whole = np.rint(rows * up[:, None])
    return whole.astype(np.int64), (most / LARGEST).astype(np.float64)


def product(rows: Array, matrix: Array, *, outside: bool) -> Array:
    """[R, N] in float64 of rows [R, K] and a weight [N, K] of float32; NaN where either has a number that is none.

    Args:
        rows: the operand.
        matrix: the weight.
        outside: whether the operand is what a caller passes, or made of states.
    """
    good, finite = np.isfinite(matrix).all(1), np.isfinite(rows).all(1)
    w, scale = weight(np.where(good[:, None], matrix, 0))
    q, unit = (from_outside if outside else of_states)(np.where(finite[:, None], rows, np.float32(0)))
    result = (q @ w.T) * scale.astype(np.float64) * unit[:, None]
    return np.where(finite[:, None] & good, result, np.nan)


class Products(TorchFunctionMode):
    """Inside, every ``v @ M.T`` is a product in whole numbers; all else is that of the tensors.

    Args:
        outside: what a caller passes; other operands are made of states.
    """

    def __init__(self, outside: Sequence[torch.Tensor]) -> None:
        super().__init__()
        self._outside = {value.data_ptr() for value in outside}

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), keywords: Any = None
    ) -> Any:
        del types
        if function is not torch.Tensor.matmul:
            return function(*arguments, **(keywords or {}))
        v, matrix = (value.detach().float().numpy() for value in arguments)
        outside = arguments[0].data_ptr() in self._outside
        return torch.from_numpy(product(v, matrix.T, outside=outside)).to(arguments[0].dtype)
