"""What canaries say of a model: a lower bound on epsilon, and how far up they stand among what might have been."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from tidegate.audit.bound import Guesses, guessed
from tidegate.audit.exposure import exposure
from tidegate.phase import phase
from tidegate.records import CanaryRecord, GuessRecord
from tidegate.train.canary import Canaries
from tidegate.train.example import Examples

PERCENTILES = np.arange(101)


def of_canaries(
    model: torch.nn.Module, examples: Examples[Any, Any], canaries: Canaries, delta: float, level: float, draws: int
) -> CanaryRecord:
    """Audit a model by its canaries.

    Args:
        model: the trained model.
        examples: the rows of its task.
        canaries: which of them were planted.
        delta: of the statement.
        level: the probability that the bound is above a true epsilon.
        draws: rows to draw, among which the canaries stand.
    """
    phase("drawing canaries")
    coins = canaries.coins
    losses = examples.losses(model, canaries.drawn(examples))
    others = examples.losses(model, canaries.others(examples, draws))
    found = exposure(losses, others, examples.space(canaries.steps))
    guesses = guessed(-losses, coins, delta, level)
    both = coins.any() and not coins.all()
    return CanaryRecord(
        what=examples.canary_is,
        count=canaries.count,
        planted=int(coins.sum()),
        steps=canaries.steps,
        loss_planted=_mean(losses[coins]),
        loss_others=_mean(losses[~coins]),
        confidence=1 - level,
        guesses=tuple(map(_guess, guesses)),
        epsilon=max((one.epsilon for one in guesses), default=0.0),
        draws=found.draws,
        exposure=_percentiles(found.bits[coins]),
        exposure_others=_percentiles(found.bits[~coins]),
        exposure_mean=_mean(found.bits[coins]),
        extrapolated=_mean(found.extrapolated[coins]),
        chance=float(stats.mannwhitneyu(losses[coins], losses[~coins], alternative="less").pvalue) if both else 1.0,
    )


def _guess(one: Guesses) -> GuessRecord:
    chance = float(stats.binom.sf(one.right - 1, one.made, 0.5))
    return GuessRecord(one.made, one.right, chance, one.epsilon)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _percentiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(np.percentile(values, PERCENTILES).tolist()) if len(values) else ()
