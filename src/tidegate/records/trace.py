"""Records of sequences step by step: gates and states in 8 bits, and exact numbers in a window of steps."""

from __future__ import annotations

from dataclasses import dataclass

Series = tuple[float | None, ...]  # None where there is no number, or it is not finite


@dataclass(frozen=True)
class CurveRecord:
    """A series that the page draws above the gates; None where it has no value."""

    name: str
    values: Series


@dataclass(frozen=True)
class SignalRecord:
    """One gate or state of a layer at all steps of a sequence, in 8 bits.

    Attributes:
        units: which units, the most important first; of a piano roll the pitches.
        low, high: the values of levels 0 and 254. Level 255 is no value. They are the same for all sequences.
        values: base64 of one byte for each unit of each step, step after step.
    """

    layer: str
    name: str
    units: tuple[int, ...]
    low: float
    high: float
    values: str


@dataclass(frozen=True)
class ExactRecord:
    """The numbers in the equations of a layer for some steps and units.

    Attributes:
        first: the first of these steps, from 0.
        terms: for each term of the equations, as plain text has it, base64 of one little-endian float32 for each unit
            of each step, step after step. NaN where a term has no such unit.
    """

    layer: str
    first: int
    steps: int
    units: tuple[int, ...]
    terms: dict[str, str]


@dataclass(frozen=True)
class TraceRecord:
    """One sequence, step by step.

    Attributes:
        labels: of each step: a token, a date, a number.
        target: the step whose loss was explained; None if all were.
        answer: what the model said and what was right, in words.
        curves: series by step.
        roll: notes by step.
        attribution: the contribution of each step to the answer; empty if there is none.
    """

    title: str
    labels: tuple[str, ...]
    signals: tuple[SignalRecord, ...]
    target: int | None = None
    answer: str = ""
    curves: tuple[CurveRecord, ...] = ()
    roll: SignalRecord | None = None
    exact: tuple[ExactRecord, ...] = ()
    attribution: Series = ()
