"""A layer of a model as a dynamical system: exponents along its data and by itself, and fixed points."""

from __future__ import annotations

from typing import Any, Literal

import torch

from tidegate.explain.dynamics import lyapunov
from tidegate.explain.fixed import fixed_points
from tidegate.explain.probe import LayerCall, Trajectory
from tidegate.explain.record import exponent_record, point_records, series
from tidegate.language import listed, say
from tidegate.phase import phase
from tidegate.records import DynamicsRecord, ExponentRecord, PathRecord

EXPONENTS = 8  # the largest ones
ROWS, STEPS = 4, 200  # sequences, and their last steps, along which exponents are taken
STARTS = 64  # of the search for fixed points
WIDEST_RUN = 2048  # of a state whose Jacobians are taken along the data
WIDEST = 256  # of a state whose fixed points are looked for: each start solves as many equations


def system_of(call: LayerCall, checks: Literal["fast", "all"]) -> tuple[DynamicsRecord | None, str]:
    """The dynamics of one layer, and what is missing of them and why.

    Args:
        call: of the layer, over the data.
        checks: ``"all"`` for fixed points and the free run, too.
    """
    layer, name = call.layer, call.name
    if layer.bidirectional:
        text = say(
            "dynamics of {name}: it reads from both ends, so there is no step from one state to the next", name=name
        )
        return None, text
    run = call.trajectory()
    size = run.after.shape[-1]
    if size > WIDEST_RUN:
        return None, say(
            "exponents of {name}: its state has {size:,} numbers, more than {most:,}",
            name=name,
            size=size,
            most=WIDEST_RUN,
        )
    phase(f"exponents of {call.name}")
    x, named = _driven(call)
    k = min(EXPONENTS, size)
    found = [lyapunov(layer, x, k, **named)]
    record = DynamicsRecord(call.name, (exponent_record(found[0]),))
    if checks == "fast":
        return record, ""
    if call.given:
        names = listed([*call.given])
        return record, say("how {name} runs by itself: it reads {given} at every step", name=name, given=names)
    found.append(lyapunov(layer, x, k, free_running="zeros"))
    exponents = tuple(map(exponent_record, found))
    if size > WIDEST:
        record = DynamicsRecord(call.name, exponents)
        return record, say(
            "fixed points of {name}: its state has {size} numbers, more than {most}",
            name=call.name,
            size=size,
            most=WIDEST,
        )
    return _with_points(call, exponents, run), ""


def _with_points(call: LayerCall, exponents: tuple[ExponentRecord, ...], run: Trajectory) -> DynamicsRecord:
    """The dynamics with fixed points, and the states of each sequence in their plane."""
    phase(f"fixed points of {call.name}")
    points = fixed_points(call.layer, 0.0, STARTS, states=run.after[call.valid])
    paths = tuple(
        PathRecord(
            say("sequence {number}", number=row + 1),
            *map(series, points.place(run.after[: int(call.lengths[row]), row]).T),
        )
        for row in range(len(call.lengths))
    )
    return DynamicsRecord(
        call.name,
        exponents,
        say("zeros"),
        STARTS,
        len(points.slow),
        tuple(point_records(points)),
        tuple(points.share.tolist()),
        paths,
    )


def _driven(call: LayerCall) -> tuple[torch.Tensor, dict[str, Any]]:
    """What the longest sequences drive the layer with."""
    rows = call.lengths.argsort(descending=True, stable=True)[:ROWS]
    return call.cut(min(int(call.lengths[rows].min()), STEPS), rows)
