"""Products of int8 matrices in whole numbers, as ``engine/int8.h`` states them; NumPy's, exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.overrides import TorchFunctionMode

Array = npt.NDArray[Any]
LARGEST, UPPER, LOWER = 127, 2**15 - 1, -(2**15)


def weight(matrix: Array) -> tuple[Array, Array]:
    """Of a weight [N, K] of float32 its whole numbers and the scale of each row."""
    most = np.abs(matrix).max(1)
    scale = (most / np.float32(LARGEST)).astype(np.float32)
    whole = np.rint(matrix / np.where(scale > 0, scale, np.float32(1))[:, None])
    return whole.astype(np.int64), scale


def operand(rows: Array) -> tuple[Array, Array]:
    """Of rows [R, K] the whole numbers and how many bits stand behind their point."""
    most = np.abs(rows).max(1)
    bits = 15 - np.frexp(np.maximum(most, np.float32(2.0**-112)))[1]
    return np.clip(np.rint(np.ldexp(rows.astype(np.float64), bits[:, None])), LOWER, UPPER).astype(np.int64), bits


def product(rows: Array, matrix: Array) -> Array:
    """[R, N] in float64 of rows [R, K] and a weight [N, K] of float32; NaN where either has a number that is none."""
    good, finite = np.isfinite(matrix).all(1), np.isfinite(rows).all(1)
    w, scale = weight(np.where(good[:, None], matrix, 0))
    q, bits = operand(np.where(finite[:, None], rows, 0))
    result = np.ldexp((q @ w.T) * scale.astype(np.float64), -bits[:, None])
    return np.where(finite[:, None] & good, result, np.nan)


class Products(TorchFunctionMode):
    """Inside, every ``v @ M.T`` is a product in whole numbers; all else is that of the tensors."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), keywords: Any = None
    ) -> Any:
        del types
        if function is not torch.Tensor.matmul:
            return function(*arguments, **(keywords or {}))
        v, matrix = (value.detach().float().numpy() for value in arguments)
        return torch.from_numpy(product(v, matrix.T)).to(arguments[0].dtype)
