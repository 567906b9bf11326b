"""Half precision and autocast on a CPU: a layer computes in float32 and rounds its results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

HALF = (torch.float16, torch.bfloat16)


class Precision(NamedTuple):
    """The types of a call that does not compute in the type of its input.

    The engine is faster in float32 than a CPU is in half precision, and float32 keeps the state of a recurrent network
    more exact. So in half precision or under autocast, a layer converts its inputs to float32, and rounds its results
    once.

    Attributes:
        work: the type in which the layer computes.
        result: the type of the output and the final states.
    """

    work: torch.dtype
    result: torch.dtype

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
        return Precision(torch.float32, torch.get_autocast_dtype("cpu") if cast and not keeps_dtype else x.dtype)

    def working(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type in which the layer computes."""
        return [tensor.to(self.work) for tensor in tensors]

    def results(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type of the results."""
        return [tensor.to(self.result) for tensor in tensors]
