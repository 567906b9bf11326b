"""How far the answers of an artefact are from those of the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class Meter:
    """Sums over all answers that count.

    Attributes:
        largest: the largest difference.
        total: the sum of all differences.
        count: how many numbers were compared.
        scale: the largest answer of the model.
    """

    largest: float = 0.0
    total: float = 0.0
    count: int = 0
    scale: float = 0.0

    def add(self, got: torch.Tensor, wanted: torch.Tensor) -> None:
        """Compare numbers; what is not a number in one of them alone is infinitely far."""
        if not got.numel():
            return
        error = (got.double() - wanted.double()).abs().nan_to_num(nan=float("inf"))
        self.largest = max(self.largest, float(error.max()))
        self.total += float(error.sum())
        self.count += error.numel()
        self.scale = max(self.scale, float(wanted.abs().max()))

    @property
    def mean(self) -> float:
        """The mean difference."""
        return self.total / max(1, self.count)

    @property
    def relative(self) -> float:
        """The largest difference as a share of the largest answer, or of 1 if that is larger."""
        return self.largest / max(1.0, self.scale)
