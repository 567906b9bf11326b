"""The series that a classifier may learn from, and the votes that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch

from tidegate.tasks.classification.ballot import Ballot, rows_for
from tidegate.tasks.classification.hold import Choice, Holding
from tidegate.tasks.classification.linear import Classes

LAYERS = 1_000  # rows from which a tenth of them validates the layers; fewer are folded
VOTING = 1_000  # the same for votes


@dataclass(frozen=True)
class Known:
    """The series of training, then those of validation.

    Attributes:
        series: [T, C] each, in standard deviations.
        classes: of each.
        kinds: the number of classes.
        holding: which of them the layers learn from, and which are held out.
        voting: the same for votes, which are cheap enough for folds of more rows; of very many rows, a sample.
        seed: of what is drawn.
    """

    series: Sequence[torch.Tensor]
    classes: Classes
    kinds: int
    holding: Holding
    voting: Holding
    seed: int

    @classmethod
    def of(cls, series: Sequence[torch.Tensor], classes: Classes, kinds: int, choice: Choice, seed: int) -> Self:
        """The series, with the rows that layers and votes are chosen by.

        Args:
            series: [T, C] each, in standard deviations.
            classes: of each.
            kinds: the number of classes.
            choice: which rows validate.
            seed: of what is drawn.
        """
        most = rows_for(len(series), kinds, max(map(len, series)))
        voting = Holding.of(choice, classes, VOTING).sample(most, seed)
        return cls(series, classes, kinds, Holding.of(choice, classes, LAYERS), voting, seed)

    def ballot(self) -> Ballot:
        """The votes of these series."""
        rows, holding = self.voting.compact()
        values, lengths = ragged([self.series[row] for row in rows])
        return Ballot.of(values, lengths, self.classes[rows], self.kinds, holding, self.seed)


def ragged(series: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Series [T, C] as [T, N, C], zero behind their ends, and their lengths [N]."""
    return torch.nn.utils.rnn.pad_sequence(list(series)), torch.tensor([len(one) for one in series])
