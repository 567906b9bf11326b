"""Products of fewer bits, emulated: inside ``Rounding`` every ``v @ M.T`` rounds both factors and is exact otherwise.

    p = R(M) R(v)        dv = R(M)^T D(dp)        dM = sum over rows of D(dp) R(v)^T

R rounds to bfloat16 or float16, to the nearest number, ties to even; D is R in bfloat16, and nothing in float16, whose
adjoints stay as they are. Whatever is not a product keeps the type of its tensors: in float64 nothing else is rounded,
so equations written for other tests need no word more. R is integer arithmetic on float64, and shares nothing with the
library or with torch's casts.

A number that float32 has a little to the left of a tie and float64 to the right of it is rounded to different sides,
and then a layer differs by half a unit of bfloat16 in one place, through no fault. So operands can be moved by a few
units of float32 first (``shake``); of several such emulations one makes the decisions of the layer. And decisions can
be handed on (``decided``): the same equations in float32, with the decisions of a float64 run, show what float32 does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

EPS = 2.0**-23  # of float32
OF_ONE = 2.0**-4  # numbers below are rests of such as are of size 1, and may be off by as much


@dataclass(frozen=True)
class Format:
    """A binary format: bits behind the point, the exponent of its least normal number, its largest number.

    Attributes:
        digits: bits behind the point.
        least: the exponent of the smallest number with all its digits.
        largest: the largest number.
        subnormal: whether smaller numbers are held, with fewer digits; else they are zero, as the engine computes.
        adjoints: whether adjoints are rounded, too.
    """

    digits: int
    least: int
    largest: float
    subnormal: bool
    adjoints: bool

    @property
    def unit(self) -> float:
        """The distance of neighbours, for numbers of size 1."""
        return 2.0**-self.digits


BFLOAT16 = Format(7, -126, (2 - 2.0**-7) * 2.0**127, subnormal=False, adjoints=True)
FLOAT16 = Format(10, -14, 65504.0, subnormal=True, adjoints=False)
FORMATS = {"bfloat16": BFLOAT16, "float16": FLOAT16}


def rounded(v: Tensor, to: Format) -> Tensor:
    """The numbers of a format that are nearest, in the type of the tensor."""
    x = v.detach().double().contiguous().numpy()
    bits = x.view(np.int64)
    exponent = (bits >> 52 & 0x7FF) - 1023
    whole = (bits & (1 << 52) - 1) | np.int64(1) << 52  # the number is whole * 2^(exponent - 52)
    drop = np.minimum(52 - to.digits + np.maximum(to.least - exponent, 0), 60)
    even = whole >> drop & 1
    kept = (whole + (np.int64(1) << drop - 1) - 1 + even) >> drop << drop
    with np.errstate(over="ignore"):
        near = np.ldexp(kept.astype(np.float64), exponent - 52)
    near = np.where(near > to.largest, np.inf, near)
    if not to.subnormal:
        near = np.where(np.abs(x) < 2.0**to.least, 0.0, near)
    near = np.where(exponent == 1024, np.abs(x), near)  # infinite, or not a number
    near = np.where(exponent == -1023, 0.0, near)
    return torch.from_numpy(np.copysign(near, x)).reshape(v.shape).to(v.dtype)


@dataclass
class Rounding(TorchFunctionMode):
    """Inside, products round their factors.

    Args:
        to: the format; None rounds nothing.
        shake: units of float32 by which an operand is moved before it is rounded, at most.
        seed: of these moves.
        decided: rounded factors to use, those that another run has left in ``made``.
    """

    to: Format | None
    shake: float = 0.0
    seed: int = 0
    decided: Mapping[tuple[int, str], Tensor] | None = None
    made: dict[tuple[int, str], Tensor] = field(default_factory=dict)
    products: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), keywords: Any = None
    ) -> Any:
        del types
        if function is not Tensor.matmul or self.to is None:
            return function(*arguments, **(keywords or {}))
        v, matrix = arguments
        self.products += 1
        return _Product.apply(v, matrix, self, self.products)

    def factor(self, number: int, name: str, value: Tensor) -> Tensor:
        """A factor of a product as it is multiplied."""
        assert self.to is not None
        if self.decided is not None:
            return self.decided[number, name].to(value.dtype)
        moved = value.float().to(value.dtype)  # all operands are float32's before they are rounded
        if self.shake and name != "matrix":
            moved = value + self._moves(value) * (self.shake * EPS) * value.abs().clamp_min(OF_ONE)
        self.made[number, name] = rounded(moved, self.to)
        return self.made[number, name]

    def _moves(self, value: Tensor) -> Tensor:
        """Random numbers from -1 to 1, the same for the same number: it may be a factor of several products."""
        mixed = value.detach().double().contiguous().view(torch.int64) + (self.seed + 1) * 0x9E3779B97F4A7 % (1 << 62)
        for _ in range(2):
            mixed = (mixed ^ (mixed >> 29)) * 0x3C79AC492BA7B653
        return (mixed >> 11).to(value.dtype) / 2.0**52


class _Product(torch.autograd.Function):
    """``v @ matrix`` of rounded factors."""

    @staticmethod
    def forward(context: Any, v: Tensor, matrix: Tensor, rounding: Rounding, number: int) -> Tensor:
        v, matrix = rounding.factor(number, "v", v), rounding.factor(number, "matrix", matrix)
        context.save_for_backward(v, matrix)
        context.rounding, context.number = rounding, number
        return torch.mm(v, matrix)

    @staticmethod
    def backward(context: Any, dp: Tensor) -> tuple[Tensor | None, ...]:
        v, matrix = context.saved_tensors
        if context.rounding.to.adjoints:
            dp = context.rounding.factor(context.number, "dp", dp)
        return torch.mm(dp, matrix.T), torch.mm(v.T, dp), None, None
