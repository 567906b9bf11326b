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
    """One after the other, with pauses; the softest at half of the loudest's amplitude or above."""
    gains = 1 - torch.rand(len(said), generator=order) / 2
    pieces: list[torch.Tensor] = []
    for one, gain in zip(said, (gains / gains.max()).tolist(), strict=True):
        pause = int(torch.randint(PAUSE + 1, (1,), generator=order)) if pieces else 0
        pieces += [torch.full((pause, one.frames.shape[1]), FLOOR).log(), softer(one.frames, gain)]
    return Utterance(torch.cat(pieces), " ".join(one.text for one in said), speaker)


def softer(frames: torch.Tensor, gain: float) -> torch.Tensor:
    """The log-mel spectra of the same sound at another amplitude."""
    return ((frames.exp() - FLOOR).clamp_min(0) * gain**2 + FLOOR).log()
