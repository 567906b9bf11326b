"""How sure a difference of two scores is: errors over parts of a test that are independent of each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tidegate.records import ScoreRecord

BLOCKS = 100  # most parts into which a text or a series is cut
LEAST = 2  # parts without which there is no spread


@dataclass(frozen=True)
class Sample:
    """The errors of one predictor in each part of a test: a row, a piece, a sentence, a stretch of time.

    Attributes:
        errors: [parts] the sum of the errors in each part.
        counts: [parts] how many terms each sum has.
    """

    errors: NDArray[np.float64]
    counts: NDArray[np.float64]

    @classmethod
    def of(cls, errors: ArrayLike, counts: ArrayLike | None = None) -> Sample:
        """From numbers; each part has one term unless counts say otherwise."""
        sums = np.asarray(errors, dtype=np.float64)
        return cls(sums, np.ones_like(sums) if counts is None else np.asarray(counts, dtype=np.float64))

    @classmethod
    def blocks(cls, errors: ArrayLike, least: int) -> Sample:
        """From errors in the order of time, which are alike near to each other.

        Args:
            errors: [N].
            least: the fewest terms of a block; there are 100 blocks at most, of almost equal length.
        """
        terms = np.asarray(errors, dtype=np.float64)
        blocks = np.array_split(terms, max(1, min(BLOCKS, len(terms) // max(1, least))))
        return cls.of([block.sum() for block in blocks], [len(block) for block in blocks])

    @classmethod
    def grouped(cls, errors: ArrayLike, lengths: Sequence[int]) -> Sample:
        """From errors in a row, of which so many belong to each part; parts of length 0 are left out."""
        kept = [length for length in lengths if length]
        starts = np.cumsum([0, *kept[:-1]])
        return cls.of(np.add.reduceat(np.asarray(errors, dtype=np.float64), starts), kept)

    @property
    def mean(self) -> float:
        """The score."""
        return float(self.errors.sum() / self.counts.sum())

    def rest(self) -> NDArray[np.float64]:
        """What each part adds to the score beyond its share of the terms."""
        rest: NDArray[np.float64] = (self.errors - self.counts * self.mean) / self.counts.sum()
        return rest


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
    return float(math.sqrt(parts / (parts - 1) * np.square(rest).sum()))


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
