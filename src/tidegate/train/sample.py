"""How sure a difference of two scores is: errors over parts of a test that are independent of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from tidegate.records import ScoreRecord

BLOCKS = 100  # most parts into which a text or a series is cut
LEAST = 2  # parts without which there is no spread


@dataclass(frozen=True)
class Sample:
    """The errors of one predictor in each part of a test: a row, a piece, a sentence, a stretch of time.

    Attributes:
        errors: [parts] float64, the sum of the errors in each part.
        counts: [parts] float64, how many terms each sum has.
    """

    errors: torch.Tensor
    counts: torch.Tensor

    @classmethod
    def of(cls, errors: Any, counts: Any = None) -> Sample:
        """From numbers; each part has one term unless counts say otherwise."""
        sums = torch.as_tensor(errors, dtype=torch.float64)
        return cls(sums, torch.ones_like(sums) if counts is None else torch.as_tensor(counts, dtype=torch.float64))

    @classmethod
    def blocks(cls, errors: Any, least: int) -> Sample:
        """From errors in the order of time, which are alike near to each other.

        Args:
            errors: [N].
            least: the fewest terms of a block; there are 100 blocks at most, of almost equal length.
        """
        blocks = max(1, min(BLOCKS, len(errors) // max(1, least)))
        return cls.grouped(errors, [len(part) for part in torch.arange(len(errors)).tensor_split(blocks)])

    @classmethod
    def grouped(cls, errors: Any, lengths: Sequence[int]) -> Sample:
        """From errors in a row, of which so many belong to each part; parts of length 0 are left out."""
        kept = [length for length in lengths if length]
        terms = torch.as_tensor(errors, dtype=torch.float64)
        return cls.of(torch.stack([part.sum() for part in terms.split(kept)]), kept)

    @property
    def mean(self) -> float:
        """The score."""
        return float(self.errors.sum() / self.counts.sum())

    def rest(self) -> torch.Tensor:
        """What each part adds to the score beyond its share of the terms."""
        return (self.errors - self.counts * self.mean) / self.counts.sum()


def standard_error(own: Sample, other: Sample) -> float | None:
    """The standard error of the difference of two scores over the same parts; None for fewer than two parts.

    Equations:
        A = Σ a_i / Σ n_i,  B = Σ b_i / Σ m_i,  r_i = (a_i - n_i A) / Σ n_i - (b_i - m_i B) / Σ m_i
        s² = k / (k - 1) Σ r_i², over k parts with errors a of n terms and b of m terms

    These are ratio estimators: parts with many terms count more. What makes a part hard for both predictors cancels.

    References:
        Cochran 1977, Sampling Techniques, chapter 6.
    """
    parts = len(own.errors)
    if parts < LEAST:
        return None
    rest = own.rest() - other.rest()
    return math.sqrt(parts / (parts - 1) * float(rest.square().sum()))


def deciding(score: ScoreRecord, own: Sample, others: Mapping[str, Sample], parts: str) -> ScoreRecord:
    """A score that decides whether the model is better: with the standard error of its lead on each baseline.

    Args:
        score: of the model and its baselines.
        own: the model's errors.
        others: those of baselines over the same parts.
        parts: what they are, in the plural.
    """
    errors = {name: standard_error(own, other) for name, other in others.items()}
    known = {name: error for name, error in errors.items() if error is not None}
    return replace(score, errors=known, over=f"{len(own.errors):,} {parts}" if known else "")
