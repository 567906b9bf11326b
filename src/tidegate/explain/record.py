"""What was measured, as plain records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from tidegate.explain.curve import GradientByLag, LagCurve
from tidegate.explain.dynamics import Exponents
from tidegate.explain.fixed import FixedPoints
from tidegate.explain.memory import Memory, part_name
from tidegate.explain.readout import ReadOut
from tidegate.records import (
    ExponentRecord,
    FixedPointRecord,
    FlowRecord,
    GateRecord,
    MemoryRecord,
    ShareRecord,
)
from tidegate.records.trace import Series


def finite(value: Any) -> float | None:
    """A number as records have it: None for what is not finite."""
    number = float(value)
    return number if math.isfinite(number) else None


def series(values: Iterable[Any]) -> Series:
    """Numbers as records have them."""
    return tuple(finite(value) for value in values)


def flow_records(found: GradientByLag) -> Iterator[FlowRecord]:
    """The gradient by lag of each layer and direction, and of stacks as a whole, which have the name of their path."""
    stacks = {curve.layer for curve in found.curves if curve.number is not None}
    for curve in found.curves:
        whole = curve.number is None and curve.layer in stacks
        yield _flow(curve, curve.layer if whole else part_name(curve.layer, curve.number or 0, reverse=curve.reverse))


def _flow(curve: LagCurve, name: str) -> FlowRecord:
    low, median, high = curve.quartiles
    bound = curve.bound
    return FlowRecord(
        layer=name,
        lags=tuple(range(1, curve.lags)),
        low=series(low[1:]),
        median=series(median[1:]),
        high=series(high[1:]),
        sequences=int((curve.ends >= 0).sum()),
        bound=() if bound is None else _along(bound.supremum, curve.lags),
        bound_name="" if bound is None else bound.name,
        product=() if bound is None else _along(bound.product, curve.lags),
        slope=finite(curve.slope),
    )


def _along(bound: torch.Tensor, lags: int) -> Series:
    """A bound at each lag from 1 on, the mean of the longest of its sequences; None beyond them.

    A mean over sequences that end one after the other would have a kink at each end.
    """
    reach = (~bound.isnan()).sum(0)
    found = series(bound[:, reach == reach.max()].mean(1)[1:lags])
    return found + (None,) * (lags - 1 - len(found))


def memory_record(name: str, memory: Memory, read: ReadOut | None, flow: FlowRecord | None) -> MemoryRecord:
    """What one layer keeps in one direction."""
    state = next(iter(memory.half_lives), "")
    life = memory.half_lives.get(state)
    low, median, high = life.quartiles if life else (None, None, None)
    slope = None if flow is None else flow.slope
    gates = [
        GateRecord(gate, finite(own.mean), finite(own.shut), finite(own.open)) for gate, own in memory.gates.items()
    ]
    moved = next(iter(memory.moved.values()))
    return MemoryRecord(
        layer=name,
        gate=life.gate if life else "",
        low=low if low is None else finite(low),
        median=median if median is None else finite(median),
        high=high if high is None else finite(high),
        longest=finite(life.longest) if life else None,
        units=series(life.units) if life else (),
        gradient=-math.log(2) / slope if slope is not None and slope < 0 else None,
        movement=finite(moved.mean()),
        readout=series(read.shares) if read else (),
        gates=tuple(gates),
        saturated=tuple(ShareRecord(name, finite(share)) for name, share in memory.saturated.items()),
    )


def exponent_record(found: Exponents) -> ExponentRecord:
    """The exponents with their extremes over the sequences."""
    several = len(found.each) > 1
    return ExponentRecord(
        kind="free" if found.free else "driven",
        values=series(found.values),
        steps=found.steps,
        low=series(found.each.amin(0)) if several else (),
        high=series(found.each.amax(0)) if several else (),
    )


def point_records(found: FixedPoints) -> Iterator[FixedPointRecord]:
    """The fixed points at their places in the plane."""
    places = found.place(found.points)
    rows = zip(places, found.stable, found.unstable_modes, found.reached, found.eigenvalues.abs().amax(1), strict=True)
    for (x, y), stable, unstable, reached, radius in rows:
        yield FixedPointRecord(float(x), float(y), bool(stable), int(unstable), int(reached), finite(radius))
