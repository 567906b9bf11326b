"""How hard an attack tries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch


@dataclass(frozen=True)
class Effort:
    """How hard an attack tries.

    Attributes:
        steps: of each run.
        restarts: runs.
        seed: of what is drawn.
    """

    steps: int = 40
    restarts: int = 3
    seed: int = 0

    def generator(self) -> torch.Generator:
        """A fresh stream of what is drawn."""
        return torch.Generator().manual_seed(self.seed)

    def times(self, factor: float) -> Self:
        """So many times as many steps, and restarts."""
        return replace(self, steps=max(1, round(self.steps * factor)), restarts=max(1, round(self.restarts * factor)))
