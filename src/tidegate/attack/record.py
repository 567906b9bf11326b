"""Everything of an attack as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from tidegate.attack.curve import Curve
from tidegate.attack.effort import Effort
from tidegate.attack.interval import bootstrapped, wilson
from tidegate.attack.kind import Kind, Limits
from tidegate.records import AttackedRecord, AttackRecord, BudgetRecord, FlipRecord, HonestyRecord

DRAWN = 6  # examples


def record_of(
    kind: Kind,
    limits: Limits,
    effort: Effort,
    curve: Curve,
    flips: torch.Tensor,
    checks: tuple[HonestyRecord, ...],
    **facts: Any,
) -> AttackRecord:
    """The record of an attack.

    Args:
        kind: what was attacked.
        limits: what could change.
        effort: how hard it tried.
        curve: the worst changes.
        flips: [rows] the smallest budgets that break.
        checks: the checklist.
        facts: further attributes of the record.
    """
    return AttackRecord(
        norm=kind.norm or limits.norm,
        decibels=kind.asks == "audio_snr",
        unit=kind.unit,
        factor=kind.factor,
        measure=kind.measure,
        better=kind.better,
        broken=kind.broken,
        chance=kind.chance[1],
        rows=kind.count,
        steps=effort.steps,
        restarts=effort.restarts,
        seed=effort.seed,
        limits=str(limits),
        notes=kind.notes,
        curve=tuple(_points(kind, curve)),
        flips=_flips(curve, flips),
        worst=tuple(_examples(kind, curve, flips)),
        checks=checks,
        verified=_verified(kind, curve),
        **facts,
    )


def _points(kind: Kind, curve: Curve) -> Iterator[BudgetRecord]:
    rows = torch.arange(kind.count)
    for budget, found in zip(curve.budgets, curve.found, strict=True):
        values = kind.valued(rows, found.change)
        share = bool(((values == 0) | (values == 1)).all()) and kind.better == "higher"
        low, high = wilson(int(values.sum()), len(values)) if share else bootstrapped(values)
        yield BudgetRecord(budget, float(values.mean()), low, high, int((found.score > 0).sum()))


def _flips(curve: Curve, flips: torch.Tensor) -> FlipRecord:
    right = flips[curve.found[0].score <= 0]
    low, median, high = (
        _finite(float(right.quantile(share, interpolation="higher"))) if len(right) else None
        for share in (0.25, 0.5, 0.75)
    )
    return FlipRecord(tuple(map(_finite, flips.tolist())), low, median, high, curve.budgets[-1])


def _examples(kind: Kind, curve: Curve, flips: torch.Tensor) -> Iterator[AttackedRecord]:
    """Rows that the smallest changes break, of those that are right unchanged, within the smallest budget that does."""
    right = (curve.found[0].score <= 0).nonzero()[:, 0]
    for row in right[flips[right].argsort(stable=True)][:DRAWN].tolist():
        if not math.isfinite(flips[row]):
            return
        place = int((curve.scores[:, row] > 0).int().argmax())
        yield kind.shown(row, curve.found[place].change[:, row : row + 1], curve.budgets[place])


def _verified(kind: Kind, curve: Curve) -> int | None:
    last = curve.found[-1]
    broken = (last.score > 0).nonzero()[:, 0]
    return kind.verified(broken, last.change[:, broken]) if len(broken) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
