"""Recordings as the task sees them, alone or strung together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from tidegate.tasks.speech.feature import FLOOR

PAUSE = 10  # frames of silence at most between recordings that are joined


@dataclass(frozen=True)
class Utterance:
    """A recording as the task sees it: log-mel spectra [T, bands], and what is said."""

    frames: torch.Tensor
    text: str
    speaker: str


def joined(said: Sequence[Utterance], most: int, order: torch.Generator) -> list[Utterance]:
    """All utterances, those of a speaker strung together in chance order, 1 to ``most`` in each string."""
    mixed = [said[place] for place in torch.randperm(len(said), generator=order).tolist()]
    found = []
    for speaker, group in groupby(sorted(mixed, key=lambda one: one.speaker), key=lambda one: one.speaker):
        left = list(group)
        while left:
            count = 1 + int(torch.randint(most, (1,), generator=order))
            found.append(_string(left[:count], speaker, order))
            left = left[count:]
    return found


def _string(said: Sequence[Utterance], speaker: str, order: torch.Generator) -> Utterance:
    pieces = [said[0].frames]
    for one in said[1:]:
        pause = int(torch.randint(PAUSE + 1, (1,), generator=order))
        pieces += [torch.full((pause, one.frames.shape[1]), FLOOR).log(), one.frames]
    return Utterance(torch.cat(pieces), " ".join(one.text for one in said), speaker)
