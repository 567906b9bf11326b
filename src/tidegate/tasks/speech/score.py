"""Error rates of transcripts, and the baseline of the nearest training recording."""

from __future__ import annotations

from collections.abc import Sequence

import jiwer
import torch
from torch.nn.functional import interpolate

from tidegate.phase import counted
from tidegate.train.sample import Sample

FIRST = 0xF0000  # first of the private-use characters, none of which is a space
STEPS = 20
LEARNT = 20_000  # training recordings compared; more would take minutes


def word_error_rate(truth: Sequence[str], answers: Sequence[str]) -> float:
    """Substitutions, deletions and insertions of words, per word of the truth."""
    return float(jiwer.wer(list(truth), list(answers)))


def character_error_rate(truth: Sequence[str], answers: Sequence[str]) -> float:
    """Substitutions, deletions and insertions of characters, spaces included, per character of the truth."""
    return float(jiwer.cer(list(truth), list(answers)))


def error_sample(truth: Sequence[str], answers: Sequence[str]) -> Sample:
    """The errors of characters in each transcript."""
    counts = [
        len(answer) if not right else _character_edits(right, answer)
        for right, answer in zip(truth, answers, strict=True)
    ]
    return Sample.of(counts, [len(right) for right in truth])


def _character_edits(right: str, answer: str) -> int:
    counts = jiwer.process_characters(right, answer)
    return int(counts.substitutions + counts.deletions + counts.insertions)


def edits(truth: Sequence[Sequence[int]], answers: Sequence[Sequence[int]]) -> int:
    """Insertions, deletions and substitutions of numbers, summed over all pairs."""
    pairs = [(_spelt(a), _spelt(b)) for a, b in zip(truth, answers, strict=True)]
    insertions = sum(len(b) for a, b in pairs if not a)  # jiwer refuses an empty truth
    pairs = [(a, b) for a, b in pairs if a]
    if not pairs:
        return insertions
    counts = jiwer.process_characters([a for a, _ in pairs], [b for _, b in pairs])
    return int(insertions + counts.substitutions + counts.deletions + counts.insertions)


def _spelt(numbers: Sequence[int]) -> str:
    return "".join(chr(FIRST + number) for number in numbers)


def nearest(train: Sequence[torch.Tensor], test: Sequence[torch.Tensor]) -> list[int]:
    """The index of the nearest training recording for each test recording.

    Equations:
        distance = |x - y|² of log-mel spectra stretched to 20 steps each

    Args:
        train: [T, bands] each, all on the same scale.
        test: [T, bands] each.
    """
    known = torch.stack([_stretched(frames) for frames in train[:LEARNT]])
    indices: list[int] = []
    for at in counted("baseline: the nearest recording", range(0, len(test), 256)):
        queries = torch.stack([_stretched(frames) for frames in test[at : at + 256]])
        indices += torch.cdist(queries, known).argmin(1).tolist()
    return indices


def _stretched(frames: torch.Tensor) -> torch.Tensor:
    """[20 bands], by linear interpolation in time."""
    return interpolate(frames.T[None], STEPS, mode="linear", align_corners=True)[0].flatten()
