"""Error rates of transcripts, and the baseline of the nearest training recording."""

from __future__ import annotations

from collections.abc import Sequence

import jiwer
import torch
from torch.nn.functional import interpolate

FIRST = 0xF0000  # private characters, none of which is a space
STEPS = 20
LEARNT = 20_000  # training recordings compared; more would take minutes


def word_error_rate(truth: Sequence[str], found: Sequence[str]) -> float:
    """Substitutions, deletions and insertions of words, per word of the truth."""
    return float(jiwer.wer(list(truth), list(found)))


def character_error_rate(truth: Sequence[str], found: Sequence[str]) -> float:
    """Substitutions, deletions and insertions of characters, spaces included, per character of the truth."""
    return float(jiwer.cer(list(truth), list(found)))


def edits(truth: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> int:
    """Insertions, deletions and substitutions of numbers, summed over all pairs."""
    pairs = [(_spelt(a), _spelt(b)) for a, b in zip(truth, found, strict=True)]
    needless = sum(len(b) for a, b in pairs if not a)  # jiwer refuses an empty truth
    pairs = [(a, b) for a, b in pairs if a]
    if not pairs:
        return needless
    counts = jiwer.process_characters([a for a, _ in pairs], [b for _, b in pairs])
    return int(needless + counts.substitutions + counts.deletions + counts.insertions)


def _spelt(numbers: Sequence[int]) -> str:
    return "".join(chr(FIRST + number) for number in numbers)


def nearest(train: Sequence[torch.Tensor], test: Sequence[torch.Tensor]) -> list[int]:
    """The index of the nearest training recording for each test recording.

    Equations:
        distance = |x - y|² of log-mel spectra stretched to 20 steps each

    Args:
        train: [T, bands] each, scaled alike.
        test: [T, bands] each.
    """
    known = torch.stack([_stretched(frames) for frames in train[:LEARNT]])
    found: list[int] = []
    for at in range(0, len(test), 256):
        asked = torch.stack([_stretched(frames) for frames in test[at : at + 256]])
        found += torch.cdist(asked, known).argmin(1).tolist()
    return found


def _stretched(frames: torch.Tensor) -> torch.Tensor:
    """[20 bands], by linear interpolation in time."""
    return interpolate(frames.T[None], STEPS, mode="linear", align_corners=True)[0].flatten()
