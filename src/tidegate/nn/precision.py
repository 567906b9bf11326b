"""Half precision and autocast on a CPU: a layer multiplies in it, and computes everything else in float32."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence

from tidegate.runtime import HALVES, Products, SizedCell
from tidegate.runtime.library import processor
from tidegate.runtime.tiles import runnable

HALF = frozenset((torch.float16, torch.bfloat16))
PRODUCTS: dict[torch.dtype, Products] = {torch.bfloat16: "bfloat16", torch.float16: "float16"}


def working_type(dtype: torch.dtype) -> torch.dtype:
    """The type in which a layer of this type computes on a CPU."""
    return torch.float32 if dtype in HALF else dtype


def widened(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor of half precision on a CPU as layers compute with it, so that its gradients add up in float32."""
    return tensor.to(working_type(tensor.dtype)) if tensor.is_cpu else tensor


def has_instructions(dtype: torch.dtype) -> bool:
    """Whether this processor multiplies in a type by instructions of its own; else products take float32's time.

    Args:
        dtype: of half precision.
    """
    return dtype == torch.bfloat16 and any(own.needs for own in runnable(processor(), "bfloat16"))


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
    def of(x: torch.Tensor | PackedSequence, *, keeps_dtype: bool) -> Precision | None:
        """The types for a call with this input; None if it computes in the type of the input.

        Args:
            x: the input.
            keeps_dtype: under autocast, results have the input's type, as those of torch.nn.GRU do on a CPU, instead of
                autocast's.
        """
        cast = torch.is_autocast_enabled("cpu")
        x = x.data if isinstance(x, PackedSequence) else x
        if not (cast or x.dtype in HALF) or not x.is_cpu:
            return None
        if x.dtype == torch.float64:  # autocast does not change it
            return Precision(torch.float64, torch.float64)
        low = torch.get_autocast_dtype("cpu") if cast else x.dtype
        return Precision(torch.float32, x.dtype if keeps_dtype else low, PRODUCTS.get(low))

    @staticmethod
    def of_step(x: torch.Tensor, hx: Any, *, keeps_dtype: bool) -> Precision | None:
        """The types for a single step, whose results under autocast may have the type of the states before it."""
        precision = Precision.of(x, keeps_dtype=False)
        if precision is None or not keeps_dtype or not torch.is_autocast_enabled("cpu"):
            return precision
        states = [hx] if isinstance(hx, torch.Tensor) else hx or [x]
        kinds = [state.dtype for state in states if isinstance(state, torch.Tensor)]
        return precision._replace(result=reduce(torch.promote_types, kinds, precision.result))

    @staticmethod
    def cell(precision: Precision | None, cell: SizedCell) -> SizedCell:
        """The cell as it runs in this precision; None for that of its tensors."""
        return cell if precision is None or precision.products is None else cell.with_products(precision.products)

    def cast(self, value: Any, dtype: torch.dtype | None = None) -> Any:
        """Floating-point tensors, alone, in a tuple or by name, in this type, or in the one in which it computes."""
        if isinstance(value, torch.Tensor):
            return value.to(dtype or self.work) if value.is_floating_point() else value
        if isinstance(value, Mapping):
            return {name: self.cast(own, dtype) for name, own in value.items()}
        return tuple([self.cast(own, dtype) for own in value]) if isinstance(value, (tuple, list)) else value

    def enter(
        self, x: torch.Tensor | PackedSequence, given: Mapping[str, torch.Tensor] | None, dtype: torch.dtype
    ) -> tuple[Any, Mapping[str, torch.Tensor] | None]:
        """Input and what is given, which autocast brings to the type of the parameters."""
        return (x.to(dtype), self.cast(given, dtype)) if torch.is_autocast_enabled("cpu") else (x, given)

    def reads(self, x: torch.Tensor) -> bool:
        """Whether a cell of this precision reads the input, and parameters of the same type, as they are."""
        return self.products is not None and x.dtype is HALVES[self.products]

    def working(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type in which the layer computes."""
        return [tensor.to(self.work) for tensor in tensors]

    def results(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type of the results."""
        return [tensor.to(self.result) for tensor in tensors]
