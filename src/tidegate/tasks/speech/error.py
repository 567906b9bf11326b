"""Errors of transcripts: substitutions, deletions and insertions."""

from __future__ import annotations

from collections.abc import Sequence

import jiwer

FIRST = 0xF0000  # a plane of private characters, none of which is a blank


def word_error_rate(truth: Sequence[str], found: Sequence[str]) -> float:
    """Wrong, missing and needless words, as a share of the words of the truth."""
    return float(jiwer.wer(list(truth), list(found)))


def character_error_rate(truth: Sequence[str], found: Sequence[str]) -> float:
    """The same of characters, blanks between words included."""
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
