"""The plan of a run: its recipe and its seeds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from tidegate.train.setting import Training


@dataclass(frozen=True)
class Plan:
    """Everything that determines a run besides its data and its cell.

    Attributes:
        setting: the recipe.
        initial_seed: seed for initial weights and dropout.
        order_seed: seed for the order of the training data.
    """

    setting: Training
    initial_seed: int
    order_seed: int

    @classmethod
    def of(cls, setting: Training, cell: str, attempt: int = 0) -> Self:
        """Derive the seeds of a run.

        All cells see the data in the same order, but each name has its own initial weights, so that comparing a cell
        with itself does not repeat the same run.

        Args:
            setting: the recipe and its seed.
            cell: the name of the cell.
            attempt: distinguishes several runs of one cell with one seed.
        """
        purpose = ("initial", cell, str(attempt)) if attempt else ("initial", cell)
        return cls(setting, derive(setting.seed, *purpose), derive(setting.seed, "order"))


def derive(seed: int, *purpose: str) -> int:
    """A seed for one purpose, independent of those for other purposes."""
    digest = hashlib.sha256("/".join([str(seed), *purpose]).encode()).digest()
    return int.from_bytes(digest[:7], "big")
