"""Records of an attack: how answers hold out when inputs are changed on purpose, and whether the attack was honest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class BudgetRecord:
    """One point of the curve.

    Attributes:
        budget: the largest change, in ``AttackRecord.unit``.
        value: the mean of the measure over all rows.
        low, high: its interval of 95 %: Wilson's of a share, else of the mean by the bootstrap.
        broken: rows whose answer is broken.
    """

    budget: float
    value: float
    low: float
    high: float
    broken: int


@dataclass(frozen=True)
class FlipRecord:
    """The smallest change found that breaks each row.

    Attributes:
        budgets: [rows] None where none was found; 0 where the answer was wrong unchanged.
        low, median, high: quartiles over the rows that were right; None where no such change was found.
        most: the largest budget that was tried.
    """

    budgets: tuple[float | None, ...]
    low: float | None
    median: float | None
    high: float | None
    most: float


@dataclass(frozen=True)
class TraceLine:
    """One channel of an example, for a drawing.

    Attributes:
        name: of the channel.
        original, changed: [T] values, None in gaps, in the unit of the data.
    """

    name: str
    original: tuple[float | None, ...]
    changed: tuple[float | None, ...]


@dataclass(frozen=True)
class AttackedRecord:
    """An example beside its original.

    Attributes:
        name: of the row.
        truth, before, after: the right answer, that to the original, and that to the changed row.
        budget: within which the change is.
        size: of the change itself, in words, in the unit of the data.
        lines: of the channels that change most; empty for texts.
        texts: the original, the changed text, and that with its changes marked; empty for series.
        answers: rows ahead of a forecast, as lines; empty for classes.
        sounds: files beside the page, original and changed, by what is added to its name; empty for others.
    """

    name: str
    truth: str
    before: str
    after: str
    budget: float
    size: str
    lines: tuple[TraceLine, ...] = ()
    texts: tuple[str, ...] = ()
    answers: tuple[TraceLine, ...] = ()
    sounds: tuple[str, ...] = ()


@dataclass(frozen=True)
class HonestyRecord:
    """One line of the checklist.

    Attributes:
        name: as ``--fail-on`` takes it.
        passed: None where the check does not apply, and the sentence says why.
        sentence: what was found, with its numbers.
        remedy: what to do about it; empty if it passed.
    """

    name: str
    passed: bool | None
    sentence: str
    remedy: str = ""


@dataclass(frozen=True)
class CertificateRecord:
    """A radius that no change can cross, and how many rows are certified there.

    Attributes:
        radius: of an l2 ball, in ``AttackRecord.unit``.
        share: of rows that are right and certified.
    """

    radius: float
    share: float


@dataclass(frozen=True)
class AttackRecord:
    """An attack on a trained model.

    Attributes:
        title: of the model, in words.
        task: its name.
        model: the folder, or the class.
        data: what the rows are from.
        norm: of changes, such as ``"linf"``; how they are measured.
        unit: of budgets.
        factor: the same in the unit of the data, in words; empty where there is no one factor.
        measure: of the curve.
        better: which values of it are better.
        broken: what counts as broken, in words.
        chance: the measure of an answer that knows nothing, in words.
        rows: the number that was attacked.
        of: the number there is.
        steps, restarts, seed: how hard it tried.
        limits: which steps and features may change, in words; empty for all.
        notes: what a reader has to know of what was attacked.
        curve: by budget, rising.
        verified: rows of the last point whose change was put through the model as users call it and broke it there.
        checks: the checklist.
        certificate: of a smoothed model, certified accuracy by radius; empty for others.
        certified: what that means, in words.
        command: to repeat it.
        decibels: whether budgets are shares of a loudness, which are read as signal-to-noise ratios.
    """

    title: str
    task: str
    model: str
    data: str
    norm: str
    unit: str
    factor: str
    measure: str
    better: Literal["higher", "lower"]
    broken: str
    chance: str
    rows: int
    of: int
    steps: int
    restarts: int
    seed: int
    limits: str
    notes: tuple[str, ...]
    curve: tuple[BudgetRecord, ...]
    flips: FlipRecord
    worst: tuple[AttackedRecord, ...]
    checks: tuple[HonestyRecord, ...]
    verified: int | None
    certificate: tuple[CertificateRecord, ...] = ()
    certified: str = ""
    command: str = ""
    decibels: bool = False

    def budget(self, value: float | None) -> str:
        """A budget in words; None is beyond the largest one."""
        if value is None:
            return f"above {self.budget(self.flips.most)}"
        if not self.decibels:
            return f"{value:.4g}"
        return f"{-20 * math.log10(value):.4g} dB" if value else "as recorded"
