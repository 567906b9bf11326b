"""Traces as the script of the page reads them, cut to the room that the page has, and what was left out in words."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from numpy.typing import NDArray

from tidegate.cell.graph import Graph
from tidegate.emit.term import numbered
from tidegate.errors import InputError, TidegateError, visible
from tidegate.language import local, translated
from tidegate.records import ExactRecord, ExplanationRecord, SignalRecord, TraceRecord

MOST_STEPS, LEAST_STEPS = 1000, 50
MOST_CURVES, MOST_LETTERS = 6, 40
LEVELS = 254  # the level of the highest value
GOOD_UNITS = 16  # a sequence is left out before the others have fewer


class Fitted(NamedTuple):
    """What the script reads, and what it does not have."""

    data: dict[str, Any]
    left_out: list[str]


def fitted(record: ExplanationRecord, room: int) -> Fitted:
    """As many sequences, units and steps as fit.

    Args:
        record: whose traces to show.
        room: bytes.

    Raises:
        InputError: a sequence has values of a layer that the record does not list.
    """
    _check_layers(record)
    steps, traces = MOST_STEPS, record.traces
    while traces:
        cut = [_shortened(trace, steps) for trace in traces]
        most = max((len(signal.units) for trace in cut for signal in trace.signals), default=1)
        least = 1 if len(traces) == 1 else min(GOOD_UNITS, most)
        for units in range(_guess(record, cut, most, room), least - 1, -1):
            chosen = [_with_units(trace, units) for trace in cut]
            data = _data(record, chosen)
            if _size(data) <= room:
                return Fitted(data, _left_out(record, chosen))
        if len(traces) > 1:
            traces = traces[:-1]
        elif (steps := steps // 2) < LEAST_STEPS:
            break
    return Fitted(_data(record, []), [local("Sequences: not one fits into the page.")] if record.traces else [])


def _check_layers(record: ExplanationRecord) -> None:
    names = {layer.name for layer in record.layers}
    parts = [signal.layer for trace in record.traces for signal in trace.signals]
    parts += [exact.layer for trace in record.traces for exact in trace.exact]
    if strange := next((name for name in parts if name not in names), None):
        raise InputError(
            "RECORD",
            f"a sequence has values of {visible(strange)}, which is no layer of the record",
            fix="list every traced layer in the record's layers",
        )


def _guess(record: ExplanationRecord, traces: Sequence[TraceRecord], most: int, room: int) -> int:
    """How many units fit if all signals have as many; at least that many do."""
    least = _size(_data(record, [_with_units(trace, 1) for trace in traces]))
    each = sum(len(trace.labels) * len(trace.signals) for trace in traces) * 4 / 3
    return max(0, min(most, 1 + int((room - least) / max(each, 1.0))))


def _size(data: Any) -> int:
    return len(htmlsafe_json_dumps(data))


def _left_out(record: ExplanationRecord, chosen: Sequence[TraceRecord]) -> list[str]:
    """What the record has and the page does not."""
    texts = []
    if missing := len(record.traces) - len(chosen):
        texts.append(
            local(
                "Sequences: {missing} of {count} do not fit into the page.", missing=missing, count=len(record.traces)
            )
        )
    short = [
        trace for trace, whole in zip(chosen, record.traces, strict=False) if len(trace.labels) < len(whole.labels)
    ]
    if short:
        texts.append(
            local(
                "Steps: of {count} long sequences the page has {steps} steps each.",
                count=len(short),
                steps=len(short[0].labels),
            )
        )
    if any(len(trace.curves) > MOST_CURVES for trace in record.traces):
        most = max(len(trace.curves) for trace in record.traces)
        texts.append(
            local(
                "Curves: the page draws {shown} of {most} series; all of them are in the attribution.",
                shown=MOST_CURVES,
                most=most,
            )
        )
    return [*texts, *_fewer_units(record, chosen)]


def _fewer_units(record: ExplanationRecord, chosen: Sequence[TraceRecord]) -> Iterator[str]:
    """For each layer of which the page has fewer units, how many."""
    how = local(", by {importance}", importance=record.importance) if record.importance else ""
    for layer in record.layers:
        size = layer.hidden_size
        own = (len(s.units) for trace in chosen for s in trace.signals if s.layer == layer.name)
        shown = max(own, default=size)
        if shown < size:
            yield local(
                "Units: the page has the {shown} most important of the {size} units of {layer}{how}.",
                shown=shown, size=size, layer=layer.name, how=how,
            )  # fmt: skip


def _shortened(trace: TraceRecord, steps: int) -> TraceRecord:
    """The steps up to the one whose loss is explained, at most so many; the last ones if all losses are."""
    count = len(trace.labels)
    if count <= steps:
        return trace
    end = count if trace.target is None else min(count, max(trace.target + 1, steps))
    cut = slice(end - steps, end)
    return replace(
        trace,
        labels=trace.labels[cut],
        target=None if trace.target is None else trace.target - cut.start,
        curves=tuple(replace(curve, values=curve.values[cut]) for curve in trace.curves),
        roll=None if trace.roll is None else _cut(trace.roll, lambda levels: levels[cut]),
        signals=tuple(_cut(signal, lambda levels: levels[cut]) for signal in trace.signals),
        exact=tuple(_moved(exact, cut) for exact in trace.exact if _overlaps(exact, cut)),
        attribution=trace.attribution[cut],
    )


def _overlaps(exact: ExactRecord, cut: slice) -> bool:
    return bool(cut.start <= exact.first and exact.first + exact.steps <= cut.stop)


def _moved(exact: ExactRecord, cut: slice) -> ExactRecord:
    return replace(exact, first=exact.first - cut.start)


def _with_units(trace: TraceRecord, units: int) -> TraceRecord:
    signals = [s if len(s.units) <= units else _cut(s, lambda levels: levels[:, :units]) for s in trace.signals]
    return replace(trace, signals=tuple(replace(signal, units=signal.units[:units]) for signal in signals))


def _cut(signal: SignalRecord, choose: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> SignalRecord:
    levels = choose(levels_of(signal))
    return replace(signal, values=base64.b64encode(np.ascontiguousarray(levels).tobytes()).decode())


def levels_of(signal: SignalRecord) -> NDArray[np.uint8]:
    """The levels of a signal, [T, units].

    Args:
        signal: as a record has it.
    """
    return np.frombuffer(base64.b64decode(signal.values), np.uint8).reshape(-1, max(1, len(signal.units)))


def _data(record: ExplanationRecord, traces: Sequence[TraceRecord]) -> dict[str, Any]:
    names = [layer.name for layer in record.layers]
    return {
        "layers": [{"name": layer.name, "lines": equation_lines(layer.graph)} for layer in record.layers],
        "lives": {memory.layer: [_short(life) for life in memory.units] for memory in record.memory},
        "sequences": [_sequence(trace, names) for trace in traces],
    }


def equation_lines(graph: dict[str, Any]) -> list[list[Any]]:
    """The equations of a cell as pairs of a name and pieces: text and keys in turns; none if there is no such cell.

    Args:
        graph: the cell as data.
    """
    try:
        return [[name, pieces] for name, pieces in numbered(Graph.from_json(graph))]
    except TidegateError:
        return []


def _sequence(trace: TraceRecord, layers: Sequence[str]) -> dict[str, Any]:
    return {
        "title": translated(trace.title),
        "labels": [_fitting(translated(label)) for label in trace.labels],
        "target": trace.target,
        "answer": translated(trace.answer),
        "curves": [
            {"name": translated(c.name), "values": [_short(v) for v in c.values]} for c in trace.curves[:MOST_CURVES]
        ],
        "roll": None if trace.roll is None else _signal(_sounding(trace.roll), layers),
        "attribution": [_short(value) for value in trace.attribution],
        "signals": [_signal(signal, layers) for signal in trace.signals],
        "exact": [
            {
                "layer": layers.index(e.layer),
                "first": e.first,
                "steps": e.steps,
                "units": list(e.units),
                "terms": e.terms,
            }
            for e in trace.exact
        ],
    }


def _fitting(label: str) -> str:
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"


def _signal(signal: SignalRecord, layers: Sequence[str]) -> dict[str, Any]:
    return {
        "layer": layers.index(signal.layer) if signal.layer in layers else -1,  # a roll has none
        "name": signal.name,
        "units": list(signal.units),
        "low": signal.low,
        "high": signal.high,
        "values": signal.values,
    }


def _sounding(roll: SignalRecord) -> SignalRecord:
    """The pitches from the lowest to the highest that sounds, and one beyond at either end."""
    levels = levels_of(roll)
    heard = np.flatnonzero(((levels > 0) & (levels <= LEVELS)).any(0))
    if not len(heard):
        return roll
    kept = slice(max(0, int(heard[0]) - 1), int(heard[-1]) + 2)
    return replace(_cut(roll, lambda values: values[:, kept]), units=roll.units[kept])


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
