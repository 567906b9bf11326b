"""What determines a run: a recipe, and the seeds that it is run with."""

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
        initial_seed: seed of the first weights and of dropout.
        order_seed: seed of the order of the training data.
    """

    setting: Training
    initial_seed: int
    order_seed: int

    @classmethod
    def of(cls, setting: Training, cell: str, attempt: int = 0) -> Self:
        """The plan of a training.

        All cells see the data in the same order, whereas each has first weights of its own: a cell that is compared
        with itself must not train twice from the same ones.

        Args:
            setting: the recipe with its seed.
            cell: the name of the cell.
            attempt: tells apart several trainings of one cell with one seed.
        """
        purpose = ("initial", cell, str(attempt)) if attempt else ("initial", cell)
        return cls(setting, derive(setting.seed, *purpose), derive(setting.seed, "order"))


def derive(seed: int, *purpose: str) -> int:
    """A seed for one purpose, unrelated to those for other purposes."""
    digest = hashlib.sha256("/".join([str(seed), *purpose]).encode()).digest()
    return int.from_bytes(digest[:7], "big")
