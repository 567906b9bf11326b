"""What the states of a layer keep: where its gates lie, how long units remember, and how far states move."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.cell import Graph
from tidegate.cell.convention import carries
from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.explain.probe import LayerCall, Probe, captured, probe
from tidegate.nn import Recurrent
from tidegate.passes import bounds

Array = NDArray[np.float64]
SHUT, OPEN = 0.1, 0.9  # a gate below, or above, hardly depends on what it reads
MOSTLY = 0.95  # of the steps
EDGE = 0.99  # of the way from the middle of what a squashing function can reach to its end


@dataclass(frozen=True)
class Gate:
    """Where the values of a gate lie.

    Attributes:
        shut: the share of units in which it is below 0.1 at 95 % of the steps or more.
        open: the share of units in which it is above 0.9 at 95 % of the steps or more.
        mean: of all units and steps.
    """

    shut: float
    open: float
    mean: float


@dataclass(frozen=True)
class HalfLife:
    """After how many steps half of a unit's state is left, by its carry gate alone: ``ln 2 / -mean(ln carry)``.

    What comes back through recurrent matrices is not counted, so the gradient may fall faster or more slowly.

    Attributes:
        gate: which gate decides it; empty where the share is the same at every step.
        units: of each unit, in steps; infinite where it never halves.
    """

    gate: str
    units: Array

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """The lower quartile, the median and the upper quartile of all units; each is the value of a unit."""
        low, median, high = np.quantile(self.units, (0.25, 0.5, 0.75), method="inverted_cdf")
        return float(low), float(median), float(high)

    @property
    def longest(self) -> float:
        """Of all units."""
        return float(self.units.max())


@dataclass(frozen=True)
class Memory:
    """What one layer keeps in one direction, over all real steps of a call. Names are those of the equations.

    Attributes:
        gates: reported values between 0 and 1.
        carries: for each state of which a step keeps a share, where this share lies.
        half_lives: of the same states.
        saturated: for each other value within bounds, such as a candidate, the share of its values, of all units and
            steps, that have gone 99 % of the way from the middle to a bound.
        moved: for each state and unit the mean of ``|s[t] - s[t-1]|``, as a share of how far it could move: of the
            width of its bounds, or of those of what is written to it, else of the range that was seen.
        largest: the largest absolute value of a state; infinite or NaN where one is.
    """

    gates: Mapping[str, Gate]
    carries: Mapping[str, Gate]
    half_lives: Mapping[str, HalfLife]
    saturated: Mapping[str, float]
    moved: Mapping[str, Array]
    largest: float


def half_life(model: torch.nn.Module | Probe, *inputs: Any, **named: Any) -> dict[str, Mapping[str, HalfLife]]:
    """How long the units of each state remember, by their carry gates.

    Args:
        model: a recurrent layer, or a model that holds some.
        inputs: of it, as in a call.
        named: further arguments, such as ``lengths=``.

    Returns:
        From names such as ``"lstm.l0"`` (``"(model).l0"`` of a layer by itself) and of states to half-lives. A state is
        missing where the equations have no gate that decides alone how much of it is kept; an RNN has none.

    Raises:
        InputError: it has no recurrent layer that can be explained, or there is no step.

    Example:
        >>> import torch, tidegate as tg
        >>> layer = tg.nn.LSTM(3, 8, forget_bias=4.0)
        >>> life = tg.explain.half_life(layer, torch.randn(50, 4, 3))["(model).l0"]["c"]
        >>> life.gate, 20 < life.quartiles[1] < 60
        ('f', True)
    """
    _, calls = captured(probe(model), *inputs, **named)
    return {name: memory.half_lives for name, memory in memories(calls).items()}


def memories(calls: Sequence[LayerCall]) -> dict[str, Memory]:
    """What each layer keeps in each direction, by names such as ``"lstm.l0"`` and ``"lstm.l1_reverse"``.

    Args:
        calls: of the layers of a model; of a layer that was called several times, all steps count alike.

    Raises:
        InputError: a layer had no step.
    """
    by_layer: dict[str, list[LayerCall]] = {}
    for call in calls:
        by_layer.setdefault(call.name, []).append(call)
    found = {}
    for path, own in by_layer.items():
        if not sum(int(call.lengths.sum()) for call in own):
            raise InputError("EXPLAIN_EMPTY", f"no sequence of {path} has a step", fix="pass sequences with steps")
        for number, reverse in parts(own[0].layer):
            found[part_name(path, number, reverse=reverse)] = _memory(own, number, reverse=reverse)
    return found


def parts(layer: Recurrent) -> list[tuple[int, bool]]:
    """The layers of a stack by their numbers, each in its directions: whether it reads from the end."""
    return [(k, reverse) for k in range(layer.num_layers) for reverse in (False, True)[: 1 + layer.bidirectional]]


def part_name(path: str, number: int, *, reverse: bool) -> str:
    """The name of one layer of a stack in one direction."""
    return f"{path}.{attribute('', number, reverse=reverse).removeprefix('_')}"


def _memory(calls: Sequence[LayerCall], number: int, *, reverse: bool) -> Memory:
    cell = calls[0].layer.cells[number]
    graph = cell.graph

    def rows(name: str) -> Array:
        """A value at all real steps, [steps of all sequences, units]."""
        return np.concatenate(
            [call.trace[attribute(name, number, reverse=reverse)][call.valid].numpy() for call in calls]
        )

    limits = bounds(graph)
    traced = {name: rows(name) for name in graph.reported}
    inner = {name: limits[node] for name, node in graph.gates if node != graph.updates[0]}
    gates = [name for name, limit in inner.items() if limit == (0.0, 1.0)]
    limited = {name: limits[node] for name, node in graph.gates if name not in gates and _is_finite(limits[node])}
    found = carries(graph)
    kept = {
        state: carry.shut + (carry.open - carry.shut) * traced[carry.gate]
        if carry.gate
        else np.full((1, traced[state].shape[-1]), carry.shut)
        for state, carry in found.items()
    }
    trajectories = [call.trajectory(number, reverse=reverse) for call in calls]
    changes = np.concatenate([(t.after - t.before).abs()[t.valid].numpy() for t in trajectories]).mean(0)
    moved = np.split(changes, np.cumsum(cell.state_widths)[:-1])
    ranges = _ranges(graph, limits, traced)
    return Memory(
        {name: _gate(traced[name]) for name in gates},
        {state: _gate(values) for state, values in kept.items()},
        {state: HalfLife(found[state].gate, _half_lives(values)) for state, values in kept.items()},
        {name: _saturated(traced[name], limit) for name, limit in limited.items()},
        {state.name: own / ranges[state.name] for state, own in zip(graph.states, moved, strict=True)},
        max(float(np.abs(traced[state.name]).max()) for state in graph.states),
    )


def _is_finite(limit: tuple[float, float]) -> bool:
    return math.isfinite(limit[0]) and math.isfinite(limit[1])


def _gate(values: Array) -> Gate:
    shut, opened = (float((share.mean(0) >= MOSTLY).mean()) for share in (values < SHUT, values > OPEN))
    return Gate(shut, opened, float(values.mean()))


def _half_lives(kept: Array) -> Array:
    with np.errstate(divide="ignore"):
        rates = -np.log(np.abs(kept)).mean(0)
        return np.where(rates > 0, math.log(2) / rates, math.inf)


def _saturated(values: Array, limit: tuple[float, float]) -> float:
    middle, half = (limit[0] + limit[1]) / 2, (limit[1] - limit[0]) / 2
    return float((np.abs(values - middle) > EDGE * half).mean())


def _ranges(graph: Graph, limits: Sequence[tuple[float, float]], traced: Mapping[str, Array]) -> dict[str, float]:
    """How far each state could move: by its own bounds, or those of what is written, else as far as it was seen to."""
    written = [node for name, node in graph.gates if _is_finite(limits[node]) and limits[node] != (0.0, 1.0)]
    widest = max((limits[node][1] - limits[node][0] for node in written), default=math.inf)
    candidates = [traced[name] for name, node in graph.gates if limits[node] != (0.0, 1.0)]

    def span(state: str, node: int) -> float:
        own = limits[node][1] - limits[node][0]
        if math.isfinite(min(own, widest)):
            return own if math.isfinite(own) else widest
        seen = np.concatenate([values.ravel() for values in (traced[state], *candidates)])
        return float(np.ptp(seen)) or 1.0

    return {state.name: span(state.name, node) for state, node in zip(graph.states, graph.updates, strict=True)}
