"""What ``checks="all"`` adds of a subject: what its loss is without a unit or a feature, and its layers in silence."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidegate.errors import InputError
from tidegate.explain.ablation import Ablation, ablate
from tidegate.explain.measure import LayerMeasures
from tidegate.explain.record import finite
from tidegate.explain.silence import settle
from tidegate.explain.subject import Subject
from tidegate.language import listed, say
from tidegate.phase import phase
from tidegate.records import AblationRecord, ChangeRecord, SilenceRecord

UNITS, FEATURES = 32, 128  # of each layer the most important units, and the first features, that are held
BURST, SILENT = 64, 4096  # steps of noise, and of the silence behind it
UNIFORM = math.sqrt(3)  # the bound of a uniform distribution whose standard deviation is 1


@dataclass(frozen=True)
class Further:
    """What was found, and what could not be, with the reason."""

    ablations: tuple[AblationRecord, ...] = ()
    silences: tuple[SilenceRecord, ...] = ()
    left_out: tuple[str, ...] = ()


def further(subject: Subject, measured: Sequence[LayerMeasures], importance: Mapping[str, Sequence[float]]) -> Further:
    """Hold units and features, and let each layer run by itself in silence.

    Args:
        subject: who is explained.
        measured: of its layers.
        importance: for each layer by its name, the share of each unit in what is read of it.
    """
    left_out: list[str] = []
    ablations = tuple(_ablations(subject, importance, left_out))
    silences = tuple(_silences(subject, measured, left_out))
    return Further(ablations, silences, tuple(left_out))


def _ablations(
    subject: Subject, importance: Mapping[str, Sequence[float]], left_out: list[str]
) -> Iterator[AblationRecord]:
    aim, kind = subject.aim, subject.kind
    units = [(name, unit) for name, shares in importance.items() for unit in _largest(shares)]
    held = sum(map(len, importance.values()))
    if units:
        phase("holding units at their means")
        found = ablate(aim.model, aim.x, aim.loss, only=units, **_named(aim.named))
        yield _ablation(found, kind.unit if kind else "", held)
    names = kind.features(aim.batch) if kind else ()
    x = aim.x[0] if type(aim.x) is tuple else aim.x
    if not x.is_floating_point():
        left_out.append(say("the loss without a feature: tokens have no mean to be held at"))
        return
    phase("holding features at their means")
    count = x.shape[-1]
    own = ablate(
        aim.model, aim.x, aim.loss, "features", range(count)[:FEATURES], names=names or None, **_named(aim.named)
    )
    yield _ablation(own, kind.unit if kind else "", count)


def _largest(shares: Sequence[float]) -> list[int]:
    return sorted(range(len(shares)), key=lambda unit: -shares[unit])[:UNITS]


def _named(named: Mapping[str, Any]) -> dict[str, Any]:
    return {"lengths": named["lengths"]} if "lengths" in named else {}


def _ablation(found: Ablation, unit: str, count: int) -> AblationRecord:
    changes = tuple(ChangeRecord(one.name, one.change, finite(one.error)) for one in found.changes)
    return AblationRecord(found.part, found.loss, unit, changes, count)


def _silences(subject: Subject, measured: Sequence[LayerMeasures], left_out: list[str]) -> Iterator[SilenceRecord]:
    """Each layer behind noise as loud as its data."""
    step = subject.kind.seconds if subject.kind else None
    rate, unit = (1.0, "steps") if step is None else (1 / step, "s")
    for own in measured:
        if own.layer.bidirectional:
            left_out.append(say("silence behind {path}: it reads from both ends, so there is no after", path=own.path))
            continue
        if given := [value.name for value in own.layer.graph.given]:
            left_out.append(
                say("silence behind {path}: it reads {given} at every step", path=own.path, given=listed(given))
            )
            continue
        phase(f"silence behind {own.path}")
        try:
            found = settle(
                own.layer,
                SILENT / rate,
                rate,
                burst=BURST / rate,
                amplitude=UNIFORM * own.size or 1.0,
                unit=unit,
            )
        except InputError as error:
            left_out.append(say("silence behind {path}: {error}", path=own.path, error=error))
            continue
        yield SilenceRecord(
            own.path,
            found.seconds,
            found.period,
            unit,
            finite(found.offset_level),
            finite(found.rest_level),
            found.sentence,
        )
