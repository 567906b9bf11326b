"""In which type a layer computes on a CPU, where that is not the type of its input."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

HALF = (torch.float16, torch.bfloat16)


class Precision(NamedTuple):
    """Half precision and autocast: computed in float32, and rounded once, at the end.

    The engine is quicker in float32 than a processor is in half precision, and the state of a recurrent network gains
    from every digit. So a layer of half precision, or under autocast, casts what it reads to float32.

    Attributes:
        work: the type in which the layer computes.
        result: the type of output and last states.
    """

    work: torch.dtype
    result: torch.dtype

    @staticmethod
    def of(x: torch.Tensor, *, kept: bool) -> Precision | None:
        """What an input asks for; None where everything has its type.

        Args:
            x: the input.
            kept: results under autocast keep the input's type, as torch.nn.GRU's do on a CPU; others get autocast's.
        """
        cast = torch.is_autocast_enabled("cpu")
        if not (cast or x.dtype in HALF) or not x.is_cpu:
            return None
        if x.dtype == torch.float64:  # which autocast leaves alone
            return Precision(torch.float64, torch.float64)
        return Precision(torch.float32, torch.get_autocast_dtype("cpu") if cast and not kept else x.dtype)

    def working(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type of the work."""
        return [tensor.to(self.work) for tensor in tensors]

    def results(self, tensors: Iterable[torch.Tensor]) -> list[torch.Tensor]:
        """The same values in the type of the results."""
        return [tensor.to(self.result) for tensor in tensors]
