"""Baselines that predict each key of a piano roll independently."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.special import xlog1py, xlogy

from tidegate.data import KEYS
from tidegate.language import say
from tidegate.records import BaselineRecord
from tidegate.train.sample import Sample

FREQUENCY, REPEAT = say("key frequency"), say("repeat last chord")


@dataclass(frozen=True)
class Keywise:
    """The probability that each of the 88 keys sounds at a step, stays if it sounds, and begins if it does not."""

    sounds: list[float]
    stays: list[float]
    begins: list[float]

    def __post_init__(self) -> None:
        for chances in (self.sounds, self.stays, self.begins):
            if len(chances) != KEYS or not all(0 < chance < 1 for chance in chances):
                raise ValueError(f"the chances of the keys are not {KEYS} numbers between 0 and 1")

    def baselines(self, test: list[torch.Tensor], counted: str) -> list[BaselineRecord]:
        """Scores of two predictors: the frequency of each key, and its transitions from the step before.

        Args:
            test: the pieces to predict.
            counted: what the chances were counted in.
        """
        how = {
            FREQUENCY: say(
                "constant probability per key: (steps with the key + 1/2) / (steps + 1) in {counted}", counted=counted
            ),
            REPEAT: say(
                "repeats the chord: per key, the chances to stay and to begin, (count + 1/2) / (steps + 1) in "
                "{counted}",
                counted=counted,
            ),
        }
        return [BaselineRecord(name, sample.mean, how[name]) for name, sample in self.samples(test).items()]

    def samples(self, test: list[torch.Tensor]) -> dict[str, Sample]:
        """The errors of both in each piece, in nats."""
        sounds, stays, begins = torch.tensor([self.sounds, self.stays, self.begins], dtype=torch.float64)
        pairs = [(piece[:-1].double(), piece[1:].double()) for piece in test]
        steps = [len(after) for _, after in pairs]
        frequency = [_error(sounds.expand_as(after), after) for _, after in pairs]
        repeat = [_error(torch.where(before > 0, stays, begins), after) for before, after in pairs]
        return {FREQUENCY: Sample.of(frequency, steps), REPEAT: Sample.of(repeat, steps)}


def keywise(pieces: list[torch.Tensor]) -> Keywise:
    """Count the keys in pieces; the first step of a piece is given and not counted."""
    before = torch.cat([piece[:-1] for piece in pieces]).double()
    after = torch.cat([piece[1:] for piece in pieces]).double()
    sounds = (after.sum(0) + 0.5) / (len(after) + 1)
    stays = ((before * after).sum(0) + 0.5) / (before.sum(0) + 1)
    begins = (((1 - before) * after).sum(0) + 0.5) / ((1 - before).sum(0) + 1)
    return Keywise(sounds.tolist(), stays.tolist(), begins.tolist())


def _error(chance: torch.Tensor, after: torch.Tensor) -> float:
    return float(-(xlogy(after, chance) + xlog1py(1 - after, -chance)).sum())
