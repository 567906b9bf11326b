"""The explained sequences, step by step, for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tidegate.data import KEYS, LOWEST
from tidegate.explain.inputs import Inputs
from tidegate.explain.kind import Aim, MusicKind
from tidegate.explain.probe import LayerCall
from tidegate.explain.subject import Subject
from tidegate.explain.trace import Traced, layer_records, packed, traced, with_traces
from tidegate.language import say
from tidegate.phase import counted
from tidegate.records import CurveRecord, LayerRecord, SignalRecord, TraceRecord
from tidegate.records.trace import Series

IMPORTANCE = say("the share of each unit in what is read of the layer")
CURVES = 3  # features that are drawn above the gates


@dataclass(frozen=True)
class Shown:
    """What the page shows of sequences.

    Attributes:
        layers: of the model, those without traces too.
        traces: of the sequences.
        left_out: layers that ran over other steps, with the reason.
    """

    layers: tuple[LayerRecord, ...]
    traces: tuple[TraceRecord, ...]
    left_out: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of them."""
        return {"layers": self.layers, "traces": self.traces, "importance": IMPORTANCE}


def shown(
    subject: Subject,
    calls: Sequence[LayerCall],
    inputs: Inputs,
    importance: Mapping[str, Sequence[float]],
    sequences: int,
) -> Shown:
    """Every gate and state at every step of the sequences.

    Args:
        subject: who is explained.
        calls: of its layers, the first of each.
        inputs: what the answers rest on.
        importance: for each layer by its name, of each of its units.
        sequences: how many to show, the first ones.
    """
    aim = subject.aim
    losses = aim.losses()
    rows = range(min(sequences, len(aim.steps)))
    records = [
        TraceRecord(
            title=say("sequence {number}", number=row + 1),
            labels=tuple(_labels(subject, row)),
            signals=(),
            target=int(aim.steps[row]),
            answer=say("loss {loss:.3g}", loss=float(losses[row] if losses.dim() else losses)),
            curves=tuple(_curves(subject, row)),
            roll=_roll(aim, row) if isinstance(subject.kind, MusicKind) else None,
            attribution=inputs.steps[row],
        )
        for row in rows
    ]
    along = [call for call in calls if torch.equal(call.lengths, aim.lengths)]
    layers = tuple(record for call in calls for record in layer_records(call.name, call.layer))
    left_out = [
        say("gates of {name}: it reads other steps than those shown", name=c.name) for c in calls if c not in along
    ]
    found = [_traced(call) for call in counted("tracing gates", along)]
    return Shown(layers, with_traces(records, rows, found, importance) if found else (), tuple(left_out))


def _traced(call: LayerCall) -> Traced:
    x, named = call.cut(len(call.x))
    reset = None if call.reset is None else call.laid(call.reset)
    hx = call.first if call.first is None or len(call.first) > 1 else call.first[0]
    return traced(call.name, call.layer, x, hx, lengths=call.lengths, reset=reset, **named)


def _labels(subject: Subject, row: int) -> list[str]:
    length = int(subject.aim.lengths[row])
    if subject.kind is None:
        return [str(step + 1) for step in range(length)]
    return subject.kind.labels(subject.aim.batch, row)


def _curves(subject: Subject, row: int) -> list[CurveRecord]:
    """The first features of a sequence, if they have names."""
    kind, aim = subject.kind, subject.aim
    if kind is None or isinstance(kind, MusicKind):
        return []
    names = kind.features(aim.batch)[:CURVES]
    values = aim.batch.inputs[: int(aim.lengths[row]), row]
    return [CurveRecord(name, _series(values[:, k])) for k, name in enumerate(names)]


def _series(values: torch.Tensor) -> Series:
    return tuple(values.tolist())


def _roll(aim: Aim, row: int) -> SignalRecord:
    """The keys of a piece."""
    keys = aim.batch.inputs[: int(aim.lengths[row]), row]
    return SignalRecord("", "keys", tuple(range(LOWEST, LOWEST + KEYS)), 0.0, 1.0, packed(keys, 0.0, 1.0))
