"""What each key of a piano roll tells about itself: music scores without a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.special import xlog1py, xlogy

from tidegate.records import BaselineRecord


def key_frequency(train: list[torch.Tensor], test: list[torch.Tensor]) -> BaselineRecord:
    """Every key sounds with its frequency in the training pieces, whatever came before."""
    after = torch.cat([piece[1:] for piece in train])
    chance = (after.double().sum(0) + 0.5) / (len(after) + 1)
    how = "constant probability per key: (steps with the key + 1/2) / (steps + 1) in the training pieces"
    return BaselineRecord("key frequency", _score(chance.expand_as, test), how)


def key_persistence(train: list[torch.Tensor], test: list[torch.Tensor]) -> BaselineRecord:
    """Every key sounds with a probability that depends on whether it sounds now: a Markov chain per key."""
    before = torch.cat([piece[:-1] for piece in train]).double()
    after = torch.cat([piece[1:] for piece in train]).double()
    stays = ((before * after).sum(0) + 0.5) / (before.sum(0) + 1)
    begins = (((1 - before) * after).sum(0) + 0.5) / ((1 - before).sum(0) + 1)
    how = "repeats the chord: per key, the chances to stay and to begin, (count + 1/2) / (steps + 1) in training"
    return BaselineRecord("repeat last chord", _score(lambda now: torch.where(now > 0, stays, begins), test), how)


def _score(chance: Callable[[torch.Tensor], torch.Tensor], test: list[torch.Tensor]) -> float:
    before = torch.cat([piece[:-1] for piece in test]).double()
    after = torch.cat([piece[1:] for piece in test]).double()
    p = chance(before)
    return float(-(xlogy(after, p) + xlog1py(1 - after, -p)).sum() / len(after))
