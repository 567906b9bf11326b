"""Which rows of small sets learn and which are held out: one part for validation, or folds."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from tidegate.tasks.classification.split import stratified

FOLDS = 5

Rows = NDArray[np.int64]


class Pair(NamedTuple):
    """Rows to learn from, and others to judge what was learnt."""

    fit: Rows
    held: Rows


@dataclass(frozen=True)
class Choice:
    """Which rows validate: those of training come first, then those of validation.

    Attributes:
        keys: the key of each row; rows with the same key are held out together.
        train: the number of rows for training.
        drawn: whether validation was drawn from the same rows. Otherwise, its rows are never learnt from.
        seed: of the draw of folds.
    """

    keys: Sequence[Hashable]
    train: int
    drawn: bool
    seed: int


@dataclass(frozen=True)
class Holding:
    """How rows are chosen by, and which are learnt from in the end.

    Attributes:
        pairs: one, or one for each fold. No row is held out twice.
        last: the rows to learn from once everything is chosen.
    """

    pairs: tuple[Pair, ...]
    last: Rows

    @classmethod
    def of(cls, choice: Choice, classes: Rows, few: int) -> Self:
        """Folds of all rows where there are few and validation was drawn; otherwise the validation part is held out.

        Args:
            choice: which rows validate.
            classes: of each row.
            few: the number of rows from which on there are no folds.
        """
        rows, train = np.arange(len(classes)), choice.train
        if not choice.drawn or len(rows) >= few:
            return cls((Pair(rows[:train], rows[train:]),), rows if choice.drawn else rows[:train])
        parts = stratified(choice.keys, classes.tolist(), [1 / FOLDS] * (FOLDS - 1), choice.seed)
        return cls(tuple(Pair(np.setdiff1d(rows, part), part) for part in parts if len(part)), rows)

    @property
    def folded(self) -> bool:
        """Whether there are folds."""
        return len(self.pairs) > 1

    @property
    def held(self) -> Rows:
        """The rows held out, pair by pair."""
        return np.concatenate([pair.held for pair in self.pairs])

    def sample(self, most: int, seed: int) -> Holding:
        """At most so many rows to learn from, drawn, and at most half as many to judge what was learnt.

        Args:
            most: rows.
            seed: of the draw.
        """
        if len(self.last) <= most:
            return self
        pairs = tuple(Pair(drawn(pair.fit, most, seed), drawn(pair.held, most // 2, seed)) for pair in self.pairs)
        return Holding(pairs, drawn(self.last, most, seed))

    def compact(self) -> tuple[Rows, Holding]:
        """The rows that occur, and the same holding with their places among those in place of their numbers."""
        rows = np.unique(np.concatenate([self.last, *(part for pair in self.pairs for part in pair)]))
        pairs = tuple(Pair(*(np.searchsorted(rows, part) for part in pair)) for pair in self.pairs)
        return rows, Holding(pairs, np.searchsorted(rows, self.last))


def drawn(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of the rows, in their order.

    Args:
        rows: to draw from.
        most: rows.
        seed: of the draw.
    """
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).permutation(rows)[:most])
