"""The untrained control: the same network with fresh weights, measured beside the trained one."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from tidegate.explain.flow import gradient_by_lag
from tidegate.explain.inputs import inputs_of
from tidegate.explain.kind import ForecastKind
from tidegate.explain.record import flow_records
from tidegate.explain.subject import Subject
from tidegate.language import say
from tidegate.phase import phase
from tidegate.records import AttributionRecord, CheckRecord, FlowRecord

FRESH = say("fresh weights")
ALIKE = 0.9  # correlation from which attributions do not tell a trained network from an untrained one


def untrained(
    subject: Subject, lag: int, flow: Sequence[FlowRecord], attribution: AttributionRecord, seed: int = 0
) -> Iterator[CheckRecord]:
    """What the same measurements say of fresh weights.

    Args:
        subject: who is explained.
        lag: of the verdicts.
        flow: the gradient by lag of the trained network.
        attribution: of the trained network.
        seed: of the fresh weights.

    References:
        Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv 1810.03292.
    """
    phase("measuring fresh weights")
    aim = subject.aim
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = renewed(aim.model)
    found = gradient_by_lag(fresh, aim.mean, aim.x, **aim.named)
    theirs = {record.layer: record for record in flow_records(found)}
    for own in flow:
        other = theirs.get(own.layer)
        if other is not None and lag in own.lags:
            trained, value = own.median[own.lags.index(lag)], other.median[other.lags.index(lag)]
            text = say(
                "With fresh weights log10 of the gradient of {layer} at lag {lag} is {value}, trained {trained}.",
                layer=own.layer,
                lag=lag,
                value=_number(value),
                trained=_number(trained),
            )
            yield CheckRecord(FRESH, value, passed=None, sentence=text)
    if isinstance(subject.kind, ForecastKind) or attribution.abstained or not attribution.values:
        return
    kind = None if subject.kind is None else _with(subject.kind, fresh)
    again = inputs_of(replace(subject, kind=kind, aim=replace(aim, model=fresh))).records[0]
    if again.abstained or again.lags != attribution.lags:
        return
    pair = [torch.tensor(record.sizes, dtype=torch.float64).flatten() for record in (attribution, again)]
    value = float(torch.corrcoef(torch.stack(pair))[0, 1])
    told = value < ALIKE
    learnt = say("they tell what was learnt")
    ending = learnt if told else say("they tell the inputs rather than what was learnt")
    text = say(
        "Attributions with fresh weights correlate with the trained ones at {value:.2f}: {ending}.",
        value=value,
        ending=ending,
    )
    yield CheckRecord(FRESH, value, passed=told, sentence=text)


def renewed(model: torch.nn.Module) -> Any:
    """A copy in which every part that can draw its parameters has drawn them anew."""
    fresh: Any = copy.deepcopy(model)
    for part in fresh.modules():
        if part is not fresh and hasattr(part, "reset_parameters"):
            part.reset_parameters()
    if hasattr(fresh, "reset_parameters"):
        fresh.reset_parameters()
    return fresh


def _with(kind: Any, model: torch.nn.Module) -> Any:
    """The same kind with another model."""
    other = copy.copy(kind)
    other.model = vars(model)["inner"]
    return other


def _number(value: float | None) -> str:
    return "-inf" if value is None else f"{value:.2f}"
