"""The rows that a classifier may learn from, and which of them are held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from tidegate.tasks.classification.hold import Choice, Holding, Pair, drawn
from tidegate.tasks.classification.linear import Classes

VOTING = 1_000  # rows from which a tenth of them validates votes; fewer are folded


@dataclass(frozen=True)
class Known:
    """The rows of training, then those of validation.

    Attributes:
        items: texts, or series [T, C] in standard deviations.
        classes: of each.
        kinds: the number of classes.
        choice: which of them validate.
        holding: which of them the layers learn from, and which are held out.
        voting: the same for votes, which are cheap enough for folds of more rows; of very many rows, a sample.
        most: rows that votes learn from.
        seed: of what is drawn.
    """

    items: Sequence[Any]
    classes: Classes
    kinds: int
    choice: Choice
    holding: Holding
    voting: Holding
    most: int
    seed: int

    @classmethod
    def of(
        cls, items: Sequence[Any], classes: Classes, kinds: int, choice: Choice, *, few: int, most: int, seed: int
    ) -> Self:
        """The rows, with those that layers and votes are chosen by.

        Args:
            items: texts, or series [T, C] in standard deviations.
            classes: of each.
            kinds: the number of classes.
            choice: which rows validate.
            few: the number of rows from which on the layers are not validated in folds.
            most: rows that votes may learn from.
            seed: of what is drawn.
        """
        voting = Holding.of(choice, classes, VOTING).sample(most, seed)
        return cls(items, classes, kinds, choice, Holding.of(choice, classes, few), voting, most, seed)

    def apart(self) -> tuple[Pair, ...]:
        """Folds of the training rows, and all of these with those of validation held out: every row is, once."""
        train = self.choice.train
        own = Choice(self.choice.keys[:train], train, True, self.choice.seed)  # noqa: FBT003  drawn
        folds = Holding.of(own, self.classes[:train], few=train + 1).pairs
        rows = np.arange(len(self.items))
        pairs = (*folds, Pair(rows[:train], rows[train:]))
        return tuple(Pair(drawn(fit, self.most, self.seed), held) for fit, held in pairs)


def ragged(series: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Series [T, C] as [T, N, C], zero behind their ends, and their lengths [N]."""
    return torch.nn.utils.rnn.pad_sequence(list(series)), torch.tensor([len(one) for one in series])
