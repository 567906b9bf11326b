"""The random numbers of a call: masks of options and of dropout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from tidegate.cell import Mask


class Sequences(Protocol):
    """The sequences of a call; see ``nn.call``."""

    size: int
    steps: int
    resets: Tensor | None

    def place(self, mask: Tensor, each: str) -> Tensor:
        """Bring a mask from the caller's order into the order of the call."""


class RandomNumbers:
    """Draws the masks of one call, as ``tidegate.option.Draws`` describes.

    Masks are drawn for all steps of all sequences in the caller's order, so the length of a sequence changes no mask of
    another one.

    Args:
        sequences: of the call.
        like: masks have its dtype and device.
        widths: of the axes of the cell.
        generator: draws; torch's own for None.
    """

    def __init__(
        self, sequences: Sequences, like: Tensor, widths: Mapping[str, int], generator: torch.Generator | None
    ) -> None:
        self.sequences, self.like, self.widths, self.generator = sequences, like, widths, generator

    def bernoulli(self, mask: Mask, rate: float) -> Tensor:
        """1 with probability ``rate``, else 0."""
        return self.sequences.place(bernoulli(self._shape(mask), self.like, rate, self.generator), mask.each)

    def dropout(self, mask: Mask, rate: float) -> Tensor:
        """0 with probability ``rate``, else 1 / (1 - rate)."""
        return self.sequences.place(dropout_mask(self._shape(mask), self.like, rate, self.generator), mask.each)

    def resets(self, mask: Mask) -> Tensor:
        """1 at steps before which all states are reset, else 0."""
        resets = self.sequences.resets
        assert resets is not None, "a cell with resets runs in a call with resets"
        return resets.reshape(-1, 1).to(self.like.dtype).expand(-1, self.widths[mask.axis])

    def weight_dropout(self, weight: Tensor, rate: float) -> Tensor:
        """A mask of dropout as large as the weight."""
        return dropout_mask(weight.shape, weight, rate, self.generator)

    def input_dropout(self, x: Tensor, rate: float) -> Tensor:
        """A mask of dropout for the input that is the same at all steps of a sequence."""
        mask = dropout_mask((self.sequences.size, x.shape[-1]), x, rate, self.generator)
        if x.dim() == 3:  # [T, B, I] in the caller's order
            return mask
        return self.sequences.place(mask.expand(self.sequences.steps, -1, -1).flatten(0, 1), "step")

    def _shape(self, mask: Mask) -> tuple[int, int]:
        each_step = self.sequences.steps if mask.each == "step" else 1
        return each_step * self.sequences.size, self.widths[mask.axis]


def bernoulli(shape: tuple[int, ...], like: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """1 with probability ``rate``, else 0. The same numbers are drawn whatever the dtype.

    Comparing uniform numbers takes half the time of torch's Bernoulli numbers on a CPU.
    """
    uniform = torch.rand(shape, dtype=torch.float32, device=like.device, generator=generator)
    return (uniform < rate).to(like.dtype)


def dropout_mask(shape: tuple[int, ...], like: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """A mask of dropout: 0 with probability ``rate``, else 1 / (1 - rate)."""
    mask = bernoulli(shape, like, 1 - rate, generator)
    return mask if rate == 1 else mask.div_(1 - rate)
