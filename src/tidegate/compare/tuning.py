"""Tuning: the settings that every run tries, one fixed list for all cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import scipy

from tidegate.language import say
from tidegate.train.setting import Training

TUNED = ("learning_rate", "recurrent_dropout", "layers")
LARGEST_DROPOUT = 0.6


@dataclass(frozen=True)
class Candidate:
    """Settings that a run tries: three of the list, and the hidden size that makes them fit the budget."""

    learning_rate: float
    recurrent_dropout: float
    layers: int
    hidden_size: int


def variants(recipe: Training, count: int) -> list[Training]:
    """The recipe, and the recipe with other values of what is tuned.

    The list is fixed before anything is trained and is the same for all cells. Its first entry is the recipe as it is.
    The others follow a Halton sequence: the learning rate, on a logarithmic scale, from a ninth to nine times that of
    the recipe; recurrent dropout from 0 to 0.6; one layer, two, or as many as the recipe has.

    Args:
        recipe: the settings of the task.
        count: the length of the list.

    References:
        Halton 1960, Numerische Mathematik 2, 84-90.
    """
    most = max(2, recipe.layers)
    places = scipy.stats.qmc.Halton(d=3, scramble=False).random(count + 1)[2:].tolist()
    values = [
        (recipe.learning_rate * 9.0 ** (2 * rate - 1), LARGEST_DROPOUT * dropout, 1 + int(most * layers))
        for rate, dropout, layers in places
    ]
    changes: list[dict[str, Any]] = [dict(zip(TUNED, tried, strict=True)) for tried in values]
    return [recipe, *(replace(recipe, **change) for change in changes)]


def tuned(recipe: Training) -> dict[str, Any]:
    """The values of what is tuned."""
    return {name: getattr(recipe, name) for name in TUNED}


def described(recipe: Training) -> str:
    """The values of what is tuned, in words."""
    rate, dropout, layers = tuned(recipe).values()
    one = say("learning rate {rate:.3g}, recurrent dropout {dropout:.2g}, 1 layer", rate=rate, dropout=dropout)
    several = say(
        "learning rate {rate:.3g}, recurrent dropout {dropout:.2g}, {layers} layers",
        rate=rate,
        dropout=dropout,
        layers=layers,
    )
    return several if layers > 1 else one
