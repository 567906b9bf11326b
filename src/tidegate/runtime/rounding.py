"""Products that round their factors, as torch computes them: what the engine's kernels do under types of fewer bits.

A product M v in bfloat16 is round(M) round(v), added up in the type of its tensors. Its derivative is made of two more
such products, M' dv and dv v', so the adjoint of a product is rounded before it meets M or v. Adjoints of products in
float16 are not rounded: numbers below 6e-8 would be zero. To change a factor changes its rounded value by as much, as
far as derivatives are concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tidegate.errors import InputError
from tidegate.runtime.heads import Multiply, multiplier
from tidegate.runtime.sized import HALVES, Products

ADJOINTS = {"bfloat16": torch.bfloat16, "float16": None}


def rounding_multiplier(
    weight: torch.Tensor, bias: torch.Tensor | None, rows: Sequence[int], heads: int, products: Products | None
) -> Multiply:
    """As ``heads.multiplier``, rounding the factors of its products.

    Args:
        weight: and the next three, as ``heads.multiplier`` has them.
        bias: it is not rounded.
        rows: of each block.
        heads: as many divide the columns and the rows of each block.
        products: their type; None for no rounding.

    Raises:
        InputError: products in int8, which only the engine computes.
    """
    if products is None:
        return multiplier(weight, bias, rows, heads)
    if products not in HALVES:
        raise InputError("PRODUCTS", f"the definition has no products in {products}", fix="run it by the engine")
    factor, adjoint = HALVES[products], ADJOINTS[products]
    product = multiplier(_rounded(weight, factor), None, rows, heads)
    biases = [] if bias is None else bias.split(list(rows))

    def multiply(operand: torch.Tensor) -> Sequence[torch.Tensor]:
        parts = [_rounded_adjoint(part, adjoint) for part in product(_rounded(operand, factor))]
        return [part + own for part, own in zip(parts, biases, strict=True)] if biases else parts

    return multiply


def _rounded(factor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A factor as a product reads it."""
    value: torch.Tensor = _Rounded.apply(factor, dtype, None)  # type: ignore[no-untyped-call]
    return value


def _rounded_adjoint(product: torch.Tensor, dtype: torch.dtype | None) -> torch.Tensor:
    """The same values, whose adjoint reaches the factors rounded."""
    if dtype is None:
        return product
    value: torch.Tensor = _Rounded.apply(product, None, dtype)  # type: ignore[no-untyped-call]
    return value


class _Rounded(torch.autograd.Function):
    """Rounds a value, its adjoint, or none; for derivatives it is the identity."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: torch.Tensor, value: torch.dtype | None, adjoint: torch.dtype | None) -> torch.Tensor:
        del adjoint
        return x.clone() if value is None else x.to(value).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        del output
        ctx.adjoint = inputs[2]

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (grads[0] if ctx.adjoint is None else _rounded(grads[0], ctx.adjoint)), None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        del ctx
        return tangents[0].clone()
