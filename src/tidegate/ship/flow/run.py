"""Evaluate a flow in float64: node by node, all steps of a node at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tidegate.errors import InputError
from tidegate.ship.flow.node import Array, Input
from tidegate.ship.flow.op import OPS, Evaluate, Run

if TYPE_CHECKING:
    from tidegate.ship.flow.flow import Answer, Flow


def run(
    flow: Flow,
    inputs: Mapping[str, Any],
    lengths: Sequence[int] | None,
    states: Mapping[str, Any] | None,
    instead: Mapping[str, Evaluate] | None = None,
) -> Answer:
    """As ``Flow.run`` says.

    Args:
        flow: the flow.
        inputs: as there.
        lengths: as there.
        states: as there.
        instead: evaluates some nodes otherwise, by their names.
    """
    from tidegate.ship.flow.flow import Answer

    values = _inputs(flow, inputs)
    steps, size = next(iter(values.values())).shape[:2] if values else (0, 0)
    ends = _lengths(lengths, steps, size)
    there = np.arange(steps)[:, None] < ends
    for one in flow.inputs:
        _check_symbols(one, values[one.name][there])
    before = _states(flow, states or {}, size)
    after: dict[str, Array] = {}
    for node in flow.nodes:
        if node.op == "constant":
            values[node.name] = np.broadcast_to(node.parameters["value"], (steps, size, flow.kinds[node.name].width))
            continue
        own = {state.part: before[state.name] for state in flow.states if state.node == node.name}
        evaluate = (instead or {}).get(node.name) or OPS[node.op].evaluate
        made = evaluate(Run(node, [values[name] for name in node.args], own, ends))
        values[node.name] = made[0]
        after |= {f"{node.name}_{part}": value for part, value in made[1].items()}
    answers = {}
    for output in flow.outputs:
        value = np.where(there[..., None], values[output.node], 0)
        answers[output.name] = _at_ends(value, ends) if output.last else value
    return Answer(answers, after)


def _at_ends(value: Array, ends: Array) -> Array:
    if not len(value):
        return np.zeros(value.shape[1:], value.dtype)
    last: Array = value[np.maximum(ends - 1, 0), np.arange(len(ends))]
    return last


def _inputs(flow: Flow, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The inputs as arrays of their dtypes, all of as many steps and sequences."""
    wanted = {one.name: one for one in flow.inputs}
    if inputs.keys() != wanted.keys():
        raise InputError(
            "FLOW_INPUT", f"got the inputs {', '.join(inputs) or 'none'}", fix=f"pass {', '.join(wanted) or 'none'}"
        )
    values = {name: np.asarray(inputs[name]) for name in wanted}
    sizes = {value.shape[:2] for value in values.values()}
    for name, value in values.items():
        kind = wanted[name].kind
        right = "iu" if kind.dtype == "int" else "fiu"
        if value.ndim != 3 or value.shape[2] != kind.width or value.dtype.kind not in right or len(sizes) > 1:
            raise InputError(
                "FLOW_INPUT",
                f"{name} is {value.dtype} {list(value.shape)}, expected {kind.dtype} [T, B, {kind.width}]",
                fix="pass such an array, with as many steps and sequences for all inputs",
            )
    dtypes = {"float": np.float64, "int": np.int64}
    return {name: value.astype(dtypes[wanted[name].kind.dtype]) for name, value in values.items()}


def _check_symbols(one: Input, symbols: Array) -> None:
    if one.limit and symbols.size and not 0 <= symbols.min() <= symbols.max() < one.limit:
        raise InputError(
            "FLOW_SYMBOL",
            f"{one.name} has symbols from {symbols.min()} to {symbols.max()}",
            fix=f"they lie from 0 to {one.limit - 1}",
        )


def _lengths(lengths: Sequence[int] | None, steps: int, size: int) -> Array:
    ends = np.full(size, steps) if lengths is None else np.asarray(lengths)
    if ends.shape != (size,) or ends.dtype.kind not in "iu" or ((ends < 0) | (ends > steps)).any():
        raise InputError("FLOW_LENGTHS", f"lengths {ends.tolist()!r:.60} of {size} sequences of {steps} steps", fix="")
    return ends.astype(np.int64)


def _states(flow: Flow, states: Mapping[str, Any], size: int) -> dict[str, Array]:
    """The states before the first step."""
    known = {state.name: state.first for state in flow.states}
    strange = [name for name in states if name not in known]
    if strange:
        raise InputError(
            "FLOW_STATE", f"there is no state {strange[0]!r}", fix=f"they are {', '.join(known) or 'none'}"
        )
    made = {name: np.broadcast_to(first, (size, *first.shape)) for name, first in known.items()}
    for name, value in states.items():
        given = np.asarray(value, dtype=np.float64)
        if given.shape != made[name].shape:
            raise InputError(
                "FLOW_STATE",
                f"the state {name} has shape {list(given.shape)}, expected {list(made[name].shape)}",
                fix="pass that shape",
            )
        made[name] = given
    return made
