"""What is measured of the layers of a subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate._version import __version__
from tidegate.explain.flow import gradient_by_lag
from tidegate.explain.measure import LayerMeasures, measure
from tidegate.explain.probe import LayerCall, Probe, captured, probe
from tidegate.explain.record import flow_records, memory_record
from tidegate.explain.subject import Subject
from tidegate.explain.system import system_of
from tidegate.language import joined, say
from tidegate.phase import phase
from tidegate.records import DynamicsRecord, FlowRecord, MemoryRecord

VERSIONS = {"tidegate": __version__, "torch": torch.__version__, "numpy": np.__version__}
BOUNDED = 2  # sequences whose Jacobians bound the gradient
LEAST_LAGS, TIMES = 20, 3  # lags with a bound: so many, or so many times the lag asked for; the page draws them
MOST = 2.5e10  # cubes of widths of states, over all steps whose Jacobians are measured: some ten seconds

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Work:
    """What was measured of the layers of a subject.

    Attributes:
        calls: the first of each layer.
        measured: what verdicts rest on.
        flow: the gradient by lag of each layer, with its bounds.
        memory: of each layer.
        systems: each layer as a dynamical system.
        importance: for each layer by its name, the share of each unit in what is read of it.
        arrays: gradients by lag as arrays.
        left_out: what could not be measured, and why.
    """

    calls: tuple[LayerCall, ...]
    measured: tuple[LayerMeasures, ...]
    flow: tuple[FlowRecord, ...]
    memory: tuple[MemoryRecord, ...]
    systems: tuple[DynamicsRecord, ...]
    importance: Mapping[str, Sequence[float]]
    arrays: Arrays
    left_out: tuple[str, ...]

    @property
    def gates(self) -> dict[str, dict[str, torch.Tensor]]:
        """Gates and states of each layer, by its path."""
        return {call.name: call.trace for call in self.calls}

    @property
    def facts(self) -> dict[str, Any]:
        """What a record says of them."""
        return {"flow": self.flow, "memory": self.memory, "dynamics": self.systems, "versions": VERSIONS}


def work(subject: Subject, lag: int, checks: Literal["fast", "all"]) -> Work:
    """Measure the layers of a subject: gradients by lag, gates and states, exponents.

    Args:
        subject: who is explained.
        lag: that verdicts are about.
        checks: ``"all"`` for fixed points and the free run, too.
    """
    aim, probed = subject.aim, probe(subject.aim.model)
    arguments = aim.x if type(aim.x) is tuple else (aim.x,)
    phase("gradients by lag")
    sequences, lags, unbounded = _bounded(probed, lag)
    found = gradient_by_lag(probed, aim.mean, aim.x, bounded=sequences, bounded_lags=lags, **aim.named)
    left_out = [
        *unbounded,
        *(joined([path, reason], ": ") for path, reason in found.left_out.items()),
    ]
    phase("gates and states")
    with torch.no_grad():
        _, calls = captured(probed, *arguments, **aim.named)
    first = tuple({call.name: call for call in reversed(calls)}.values())[::-1]
    measured = measure(probed, aim.mean, aim.x, **aim.named)
    flows = {record.layer: record for record in flow_records(found)}
    reads = {name: read for own in measured for name, read in own.reads.items()}
    memory = [
        memory_record(name, kept, reads.get(name), flows.get(name))
        for own in measured
        for name, kept in own.memories.items()
    ]
    arrays = {f"gradient/{curve.name}": curve.norms.numpy() for curve in found.curves}
    importance = {name: read.shares.tolist() for name, read in reads.items()}
    systems, missing = _systems(first, checks)
    left_out += missing
    return Work(first, measured, tuple(flows.values()), tuple(memory), systems, importance, arrays, tuple(left_out))


def _bounded(probed: Probe, lag: int) -> tuple[int, int, list[str]]:
    """Of how many sequences and lags the bounds are computed, and what is left out for the sake of time."""
    widths = {path: layer.num_layers * sum(layer.cells[0].state_widths) for path, layer in probed.layers.items()}
    path, width = max(widths.items(), key=lambda item: item[1])
    wanted, steps = max(LEAST_LAGS, TIMES * lag), int(MOST / width**3)
    if steps >= wanted:
        return min(BOUNDED, steps // wanted), wanted, []
    text = say("bounds of the gradient: the state of {path} has {width:,} numbers", path=path, width=width)
    if steps > 1:
        text = say(
            "bounds of the gradient beyond lag {steps}: the state of {path} has {width:,} numbers",
            steps=steps,
            path=path,
            width=width,
        )
    return int(steps > 1), steps, [text]


def _systems(
    calls: Sequence[LayerCall], checks: Literal["fast", "all"]
) -> tuple[tuple[DynamicsRecord, ...], tuple[str, ...]]:
    """The dynamics of each layer, and what they lack, with the reason."""
    found = [system_of(call, checks) for call in calls]
    missing = [text for _, text in found if text]
    if checks == "fast":
        missing.append(
            say("fixed points, the free run, silence, and the loss without a unit: measured with checks='all'")
        )
    return tuple(record for record, _ in found if record), tuple(missing)
