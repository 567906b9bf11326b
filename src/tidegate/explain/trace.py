"""Gates and states of chosen sequences as the page takes them: 8 bits everywhere, exact numbers in a few steps."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.emit.term import terms
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.nn.argument import as_states
from tidegate.nn.rows import Lengths, full, padded, reorder
from tidegate.records import ExactRecord, LayerRecord, SignalRecord, TraceRecord
from tidegate.runtime import Rows
from tidegate.runtime.fused import node_values
from tidegate.runtime.job import Job

Array = NDArray[np.float64]
LEVELS, NOTHING = 254, 255  # the highest level of a value, and the one that says that there is none
MOST_UNITS = 64
EXACT_UNITS, EXACT_STEPS = 6, 16


class Traced(NamedTuple):
    """All gates and states of one call of a layer.

    Attributes:
        layers: each layer and direction as a record.
        signals: for each of them its gates and states, [T, B, width], NaN after the end of a sequence.
        exact: for each of them the terms of its equations, likewise; empty where the layer reads masks or more
            than its input.
    """

    layers: tuple[LayerRecord, ...]
    signals: tuple[dict[str, Array], ...]
    exact: tuple[dict[str, Array], ...]


def traced(
    name: str,
    layer: Recurrent,
    x: torch.Tensor,
    hx: Any = None,
    *,
    lengths: Lengths | None = None,
    reset: torch.Tensor | None = None,
    given: Mapping[str, torch.Tensor] | None = None,
) -> Traced:
    """All gates and states of a layer at all steps, and every number in its equations.

    Args:
        name: of the layer in the model.
        layer: in evaluation mode.
        x: its input, a batch of sequences.
        hx: the states before the first step, as in a call.
        lengths: as in a call.
        reset: as in a call.
        given: as in a call.
    """
    with torch.no_grad():
        values = layer.trace(x, hx, lengths=lengths, reset=reset, given=given)
        time_first = x.transpose(0, 1) if layer.batch_first else x
        marks = None if reset is None else reset.T if layer.batch_first else reset
        signals = [{n: _array(values[f"{n}_{at}"], layer) for n in layer.graph.reported} for at in _places(layer)]
        exact: list[dict[str, Array]] = []
        for k in range(layer.num_layers):
            exact += _terms(layer, k, time_first, hx, lengths, marks)
            ends = [
                values[f"{layer.graph.output.name}_{at}"] for at in _places(layer) if at.partition("_")[0] == f"l{k}"
            ]
            time_first = torch.cat([_time_first(end, layer) for end in ends], -1).nan_to_num(0.0)
    return Traced(tuple(layer_records(name, layer)), tuple(signals), tuple(exact))


def layer_records(name: str, layer: Recurrent) -> list[LayerRecord]:
    """Each layer and direction of a stack as a record.

    Args:
        name: of the stack in the model.
        layer: the stack.
    """
    directions = 1 + layer.bidirectional
    return [
        LayerRecord(
            name=f"{name}.{place}" if name else place,
            cell=layer.graph.name,
            graph=layer.cells[k // directions].graph.to_json(),
            input_size=layer.cells[k // directions].features,
            hidden_size=layer.hidden_size,
            options=str(layer.options).strip(", "),
        )
        for k, place in enumerate(_places(layer))
    ]


def _places(layer: Recurrent) -> list[str]:
    """The ends of the names of values: ``l0``, ``l0_reverse``, ``l1`` and so on."""
    ends = ("", "_reverse")[: 1 + layer.bidirectional]
    return [f"l{k}{end}" for k in range(layer.num_layers) for end in ends]


def _time_first(value: torch.Tensor, layer: Recurrent) -> torch.Tensor:
    return value.transpose(0, 1) if layer.batch_first else value


def _array(value: torch.Tensor, layer: Recurrent) -> Array:
    return np.asarray(_time_first(value, layer).double())


def _terms(
    layer: Recurrent, k: int, x: torch.Tensor, hx: Any, lengths: Lengths | None, reset: torch.Tensor | None
) -> list[dict[str, Array]]:
    """For each direction of layer k every term of its equations, by the definition of the cell."""
    cell, directions = layer.cells[k], 1 + layer.bidirectional
    if cell.beside or (reset is not None and layer.options.run_differently):
        return [{}] * directions
    batch = full(x, reset) if lengths is None else padded(x, lengths, reset)
    rows: Rows = batch.rows
    begun = layer.learned_states(batch.size) if hx is None else as_states(hx, [s.name for s in layer.graph.states])
    own = [] if begun is None else [state[k * directions : (k + 1) * directions] for state in begun]
    first = reorder(own, batch.order) if own else None
    job = Job(cell, rows.steps, batch.size, directions, rows.resets, rows.restore)
    wanted = terms(cell.graph)
    runs = node_values(job, rows.data, first, layer.layer_parameters(k), [*wanted.values()])
    return [
        {text: np.asarray(batch.restore(v, float("nan")).double()) for text, v in zip(wanted, values, strict=True)}
        for values, _ in runs
    ]


def with_traces(
    records: Sequence[TraceRecord],
    places: Sequence[int],
    calls: Sequence[Traced],
    importance: Mapping[str, Sequence[float]] | None = None,
    units: int = MOST_UNITS,
) -> tuple[TraceRecord, ...]:
    """Records of sequences with the gates and states of all layers that ran over them.

    Units are ordered by importance; without one, by the standard deviation of the state that they hold.

    Args:
        records: one for each chosen sequence, with as many labels as it has steps.
        places: for each of them its place in the batch.
        calls: of the layers, over the same steps.
        importance: for each layer by its name, of each of its units.
        units: how many of them to keep.

    Raises:
        InputError: a sequence has another number of labels than steps.
    """
    for record, place in zip(records, places, strict=True):
        _check_steps(record, place, calls)
    signals: list[list[SignalRecord]] = [[] for _ in records]
    exact: list[list[ExactRecord]] = [[] for _ in records]
    for layer, values, numbers in (parts for call in calls for parts in zip(*call, strict=True)):
        orders = _orders(layer, values, None if importance is None else importance.get(layer.name))
        for name, value in values.items():
            order = orders[value.shape[-1]][:units]
            cuts = [value[: len(r.labels), place][:, order] for r, place in zip(records, places, strict=True)]
            limits = _limits(cuts)
            for own, cut in zip(signals, cuts, strict=True):
                own.append(_signal(layer.name, name, order, cut, limits))
        for own_exact, record, place in zip(exact, records, places, strict=True):
            if numbers:
                own_exact.append(_window(layer, record, orders[layer.hidden_size], numbers, place))
    return tuple(
        replace(record, signals=tuple(own), exact=tuple(window))
        for record, own, window in zip(records, signals, exact, strict=True)
    )


def _check_steps(record: TraceRecord, place: int, calls: Sequence[Traced]) -> None:
    for call in calls:
        values = next(iter(call.signals[0].values()))[:, place]
        steps = int((~np.isnan(values).all(-1)).sum())
        if steps != len(record.labels):
            raise InputError(
                "TRACE",
                f"{record.title} has {len(record.labels)} labels, but {call.layers[0].name} ran {steps} steps of it",
                fix="give one label for each step",
            )


def _orders(layer: LayerRecord, signals: Mapping[str, Array], given: Sequence[float] | None) -> dict[int, list[int]]:
    """For each width of a signal its units, the most important first."""
    orders = dict[int, list[int]]()
    states = [state["name"] for state in layer.graph["states"]]
    for name in [*states, *signals]:
        width = signals[name].shape[-1]
        if width not in orders:
            fits = given is not None and len(given) == width
            weight = np.asarray(given) if fits else np.nanstd(signals[name], axis=(0, 1))
            orders[width] = np.argsort(-np.nan_to_num(weight), kind="stable").tolist()
    orders.setdefault(layer.hidden_size, [*range(layer.hidden_size)])
    return orders


def _limits(shown: Sequence[Array]) -> tuple[float, float]:
    finite = np.concatenate([cut[np.isfinite(cut)] for cut in shown])
    return (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)


def _signal(layer: str, name: str, units: Sequence[int], values: Array, limits: tuple[float, float]) -> SignalRecord:
    low, high = limits
    return SignalRecord(layer, name, tuple(units), low, high, packed(values, low, high))


def packed(values: Any, low: float, high: float) -> str:
    """Values as base64 of 8 bits: levels 0 to 254 from ``low`` to ``high``, 255 where a value is not finite.

    Args:
        values: of each step, of each unit.
        low: the value of level 0.
        high: the value of level 254.
    """
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    scale = LEVELS / (high - low) if high > low else 0.0
    levels = np.clip(np.rint((np.where(known, array, low) - low) * scale), 0, LEVELS)
    return base64.b64encode(np.where(known, levels, NOTHING).astype(np.uint8).tobytes()).decode()


def _window(
    layer: LayerRecord, record: TraceRecord, order: Sequence[int], numbers: Mapping[str, Array], place: int
) -> ExactRecord:
    """Exact numbers around the step whose loss is explained, or at the end."""
    length = len(record.labels)
    last = length if record.target is None else min(length, record.target + 1)
    first = max(0, last - EXACT_STEPS)
    steps, units = min(EXACT_STEPS, length - first), list(order[:EXACT_UNITS])
    cut = {text: _of_units(values[first : first + steps, place], units) for text, values in numbers.items()}
    coded = {text: base64.b64encode(v.astype("<f4").tobytes()).decode() for text, v in cut.items()}
    return ExactRecord(layer.name, first, steps, tuple(units), coded)


def _of_units(values: Array, units: Sequence[int]) -> Array:
    """Values [T, width] of these units: NaN where there is no such unit, the same for all where there is one number."""
    width = values.shape[-1]
    if width == 1:
        return np.repeat(values, len(units), axis=1)
    cut = np.full((len(values), len(units)), np.nan)
    known = [k for k, unit in enumerate(units) if unit < width]
    cut[:, known] = values[:, [units[k] for k in known]]
    return cut
