"""Half precision and autocast on a CPU: a layer multiplies in it, and computes everything else in float32."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from tidegate.runtime import HALVES, Products, SizedCell

HALF = (torch.float16, torch.bfloat16)
PRODUCTS: dict[torch.dtype, Products] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def working_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which a layer of this type computes on a CPU."""
    return torch.float32 if dtype in HALF else dtype


class Precision(NamedTuple):
    """The types of a call that does not compute in the type of its input.

    In half precision or under autocast, products round both factors to that type, see ``runtime.sized``. States, gates
    and sums are float32, since float32 keeps the state of a recurrent network more exact, and results are rounded once.

    Attributes:
        work: the type in which the layer computes.
        result: the type of the output and the final states.
        products: the type in which it multiplies; None for ``work``.
    """

    work: torch.dtype
    result: torch.dtype
    products: Products | None = None

    @staticmethod
    def of(x: torch.Tensor, *, keeps_dtype: bool) -> Precision | None:
        """The types for a call with this input; None if it computes in the type of the input.

        Args:
            x: the input.
            keeps_dtype: under autocast, results have the input's type, as those of torch.nn.GRU do on a CPU, instead of
                autocast's.
        """
        cast = torch.is_autocast_enabled("cpu")
        if not (cast or x.dtype in HALF) or not x.is_cpu:
            return None
        if x.dtype == torch.float64:  # autocast does not change it
            return Precision(torch.float64, torch.float64)
        low = torch.get_autocast_dtype("cpu") if cast else x.dtype
        return Precision(torch.float32, x.dtype if keeps_dtype else low, PRODUCTS.get(low))

    @staticmethod
    def cells(precision: Precision | None, cells: list[SizedCell]) -> list[SizedCell]:
        """The cells as they run in this precision; None for that of their tensors."""
        products = None if precision is None else precision.products
        return cells if products is None else [cell.with_products(products) for cell in cells]

    def reads(self, x: torch.Tensor) -> bool:
        """Whether a cell of this precision reads the input, and parameters of the same type, as they are."""
        return self.products is not None and x.dtype is HALVES[self.products]

    def working(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type in which the layer computes."""
        return [tensor.to(self.work) for tensor in tensors]

    def results(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type of the results."""
        return [tensor.to(self.result) for tensor in tensors]
