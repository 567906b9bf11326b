"""What the answers of a model rest on, by lag and feature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from tidegate.explain.attribution import Attribution, attribute
from tidegate.explain.driver import drivers
from tidegate.explain.kind import Aim, ForecastKind, Kind, Lead
from tidegate.explain.record import finite
from tidegate.explain.subject import Subject
from tidegate.language import say, without_first
from tidegate.phase import counted
from tidegate.records import AttributionRecord, ShareRecord
from tidegate.records.trace import Series


@dataclass(frozen=True)
class Inputs:
    """Attributions of the answers.

    Attributes:
        records: averaged over sequences; of a forecast another one of the last.
        steps: for each sequence the contribution of each of its steps, nothing where there is no attribution.
        left_out: what was held as it is, with the reason.
    """

    records: tuple[AttributionRecord, ...]
    steps: tuple[Series, ...]
    left_out: tuple[str, ...] = ()


def inputs_of(subject: Subject) -> Inputs:
    """What the answers of a subject rest on: of a forecast in the unit of its target, over all parts of the model.

    Args:
        subject: who is explained.
    """
    aim, kind = subject.aim, subject.kind
    if kind is None:
        named = aim.named.get("lengths")
        found = [attribute(aim.model, aim.x, aim.answer, lengths=named)]
        steps = tuple(_by_step(found[0], row, aim) for row in range(len(aim.steps)))
        return Inputs((_merged(found, say("answer"), ""),), steps, _lost(found))
    if isinstance(kind, ForecastKind):
        records, lost = drivers(kind, kind.draw(len(aim.steps)), aim.horizon)
        return Inputs(records, ((),) * len(aim.steps), (lost,) * bool(lost))
    singles = [kind.single(aim, row) for row in range(len(aim.steps))]
    found = [_single(kind, single) for single in counted("attributing", singles)]
    steps = tuple(_by_step(one, 0, single) for one, single in zip(found, singles, strict=True))
    left_out = tuple(
        dict.fromkeys(say("attribution to {text}", text=text) for one in found for text in one.left_out)
    ) + _lost(found)
    record = _merged(found, kind.says, kind.answers_in)
    votes = [single.answer.votes for single in singles if isinstance(single.answer, Lead)]
    if votes and not record.abstained and subject.shares:
        record = _with_votes(record, float(torch.cat(votes).mean()))
    return Inputs((record,), steps, left_out)


def _single(kind: Kind, aim: Aim) -> Attribution:
    names = kind.features(aim.batch) or None
    found = attribute(aim.model, aim.x, aim.answer, lengths=aim.lengths, step=int(aim.steps[0]), names=names)
    if names:
        return found
    along = [k for k, path in enumerate(found.features) if path not in kind.beside]
    features = _tokens([found.features[k] for k in along])
    return replace(found, features=features, by_lag=found.by_lag[..., along])


def _tokens(embeddings: Sequence[str]) -> tuple[str, ...]:
    """What embeddings stand for, by their paths: ``encoder.shapes`` for shapes, the only one for tokens."""
    return (say("token"),) if len(embeddings) == 1 else tuple(path.rpartition(".")[2] for path in embeddings)


def _merged(found: list[Attribution], says: str, unit: str) -> AttributionRecord:
    """The mean over all sequences that have an attribution."""
    kept = list(_kept(found))
    record = AttributionRecord(
        target=says,
        unit=unit,
        baseline=say("zeros") if found[0].features else say("no tokens"),
        points=max(one.points for one in found),
        abstained="" if kept else _reason(found),
    )
    if not kept:
        return replace(record, completeness_error=finite(max(float(one.error.max()) for one in found)))
    total: dict[int, list[torch.Tensor]] = defaultdict(list)
    for one, row in kept:
        for lag, values in zip(one.lags, one.by_lag[row], strict=True):
            if not values.isnan().all():
                total[lag].append(values.nan_to_num())
    lags, count = sorted(total), sum(len(one.by_lag) for one in found)
    return replace(
        record,
        target=says
        if len(kept) == count
        else say("{says} in {kept} of {count} sequences", says=says, kept=len(kept), count=count),
        features=kept[0][0].features,
        lags=tuple(lags),
        values=tuple(tuple((torch.stack(total[lag]).sum(0) / len(kept)).tolist()) for lag in lags),
        sizes=tuple(tuple((torch.stack(total[lag]).abs().sum(0) / len(kept)).tolist()) for lag in lags),
        parts=_parts(kept),
        start=_mean(one.start.expand(len(one.by_lag))[row] for one, row in kept),
        answer=_mean(one.answer.expand(len(one.by_lag))[row] for one, row in kept),
        completeness_error=finite(max(float(one.error.expand(len(one.by_lag))[row]) for one, row in kept)),
    )


def _lost(found: Sequence[Attribution]) -> tuple[str, ...]:
    """How many sequences have no part in the mean, and why; nothing where none or all have one."""
    count, kept = sum(len(one.by_lag) for one in found), len([*_kept(found)])
    lost = say("{missed} of {count}", missed=count - kept, count=count)
    reason = without_first(_reason(found), lost)
    text = say("attribution of {share} sequences: {reason}", share=lost, reason=reason)
    return (text,) if 0 < kept < count else ()


def _reason(found: Sequence[Attribution]) -> str:
    """Why there is no attribution where it misses most."""
    worst = max(found, key=lambda one: (bool(one.abstained), float(one.error.nan_to_num(torch.inf).max())))
    return worst.abstained


def _with_votes(record: AttributionRecord, votes: float) -> AttributionRecord:
    """The record of a classifier with what its votes add to the lead; they do not read what the layers read."""
    assert record.start is not None
    assert record.answer is not None
    parts = (ShareRecord(say("layers"), record.answer - record.start), ShareRecord(say("votes"), votes))
    return replace(record, parts=parts, answer=record.answer + votes)


def _parts(kept: Sequence[tuple[Attribution, int]]) -> tuple[ShareRecord, ...]:
    """What comes from each argument and each embedding, where there are several."""
    names = dict.fromkeys(name for one, _ in kept for name in one.values)
    if len(names) < 2 or any(len(one.by_lag) > 1 for one, _ in kept):
        return ()
    sums = {name: _mean(one.values[name].nansum() for one, _ in kept) for name in names}
    return tuple(ShareRecord(name.rpartition(".")[2], value) for name, value in sums.items())


def _mean(values: Iterable[torch.Tensor]) -> float | None:
    return finite(torch.stack([*values]).mean())


def _kept(found: Sequence[Attribution]) -> Iterator[tuple[Attribution, int]]:
    """Each sequence that has an attribution: where it is, and its row."""
    for one in found:
        for row, values in enumerate(one.by_lag):
            if not values.isnan().all():
                yield one, row


def _by_step(found: Attribution, row: int, aim: Aim) -> Series:
    """The contribution of each step of one sequence, over all features."""
    by_lag = dict(zip(found.lags, found.by_lag[row].nansum(-1).tolist(), strict=True))
    if found.by_lag[row].isnan().all():
        return ()
    target, length = int(aim.steps[row]), int(aim.lengths[row])
    return tuple(by_lag.get(target - step) for step in range(length))
