"""Recordings as the task sees them, alone or joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from tidegate.tasks.speech.feature import FLOOR

PAUSE = 10  # the largest number of silent frames between joined recordings


@dataclass(frozen=True)
class Utterance:
    """A recording as the task sees it: log-mel spectra [T, bands], transcript, speaker, whose it is, and its name."""

    frames: torch.Tensor
    text: str
    speaker: str
    owner: str = ""
    name: str = ""


def joined(utterances: Sequence[Utterance], most: int, order: torch.Generator) -> list[Utterance]:
    """Join utterances of the same speaker in random order, 1 to ``most`` at a time; each is used once."""
    shuffled = [utterances[place] for place in torch.randperm(len(utterances), generator=order).tolist()]
    result = []
    for speaker, group in groupby(
        sorted(shuffled, key=lambda utterance: utterance.speaker), key=lambda utterance: utterance.speaker
    ):
        remaining = list(group)
        while remaining:
            count = 1 + int(torch.randint(most, (1,), generator=order))
            result.append(_concatenated(remaining[:count], speaker, order))
            remaining = remaining[count:]
    return result


def _concatenated(utterances: Sequence[Utterance], speaker: str, order: torch.Generator) -> Utterance:
    pieces = [utterances[0].frames]
    for utterance in utterances[1:]:
        pause = int(torch.randint(PAUSE + 1, (1,), generator=order))
        pieces += [torch.full((pause, utterance.frames.shape[1]), FLOOR).log(), utterance.frames]
    return Utterance(torch.cat(pieces), " ".join(utterance.text for utterance in utterances), speaker)
