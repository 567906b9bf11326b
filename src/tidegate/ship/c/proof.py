"""The self-test of a flow in C: inputs of a few steps, and the answer to them in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tidegate.emit.c99 import number
from tidegate.ship.c.array import listed, narrowed
from tidegate.ship.c.rule import Step
from tidegate.ship.flow import Flow
from tidegate.ship.flow.node import Array, Input
from tidegate.ship.flow.op import Evaluate
from tidegate.ship.flow.run import run
from tidegate.ship.int8.stack import Quantised

STEPS = 4
GROWS = 1 / 64  # share by which numbers of the input grow from step to step
GROWN = f"(1.0f + {number(GROWS)} * (float)t)"
MOST = 64  # numbers of an output that are compared
TOLERANCE, WHOLE_TOLERANCE = 2e-5, 2e-3  # of the largest number of an output, or of 1: whole numbers round at edges


def selftest_text(step: Step) -> str:
    """The function that runs a vector and compares the answer to its last step."""
    flow, given = step.flow, vector(step.flow)
    steps = {key: np.stack([_at(flow, key, value, t) for t in range(STEPS)])[:, None] for key, value in given.items()}
    answer = run(flow, steps, None, None, {name: _whole(own) for name, own in step.whole.items()}).outputs
    lasts = {one.name: answer[one.name][0 if one.last else (-1, 0)] for one in flow.outputs}
    lines = [*_given(flow, given), *_expected(lasts), *_run(step), *_compared(step, lasts)]
    return "\n".join([f"int {step.name}_selftest(void)", "{", *(f"    {line}" for line in lines), "}", ""])


def _whole(quantised: Quantised) -> Evaluate:
    """A recurrent node in whole numbers; its last states are not asked for."""
    return lambda run: (quantised.run(run.values[0])[0].astype(np.float64), dict(run.states))


def vector(flow: Flow) -> dict[str, Array]:
    """What goes in at the first step: usual numbers, and drawn symbols."""
    random, made = np.random.default_rng(0), {}
    for one in flow.inputs:
        if one.limit:
            made[one.name] = random.integers(0, one.limit, one.kind.width)
        else:
            mean, sd = (np.array(part) if part else start for part, start in ((one.mean, 0.0), (one.sd, 1.0)))
            drawn = mean + sd * random.normal(size=one.kind.width)
            made[one.name] = drawn.round(2).astype(np.float32)
    return made


def _at(flow: Flow, name: str, value: Array, t: int) -> Array:
    """The same as C has it at step t."""
    own = next(one for one in flow.inputs if one.name == name)
    if own.limit:
        return (value + t) % own.limit
    return value * np.float32(1 + t * GROWS) if _grows(own) else value


def _grows(one: Input) -> bool:
    """Whether other numbers than the usual ones may go in: a mark such as 1 for what is there stays as it is."""
    return not one.sd or any(one.sd)


def _given(flow: Flow, given: dict[str, Array]) -> Iterator[str]:
    for one in flow.inputs:
        value = given[one.name]
        text = f"{{{', '.join(map(str, value))}}}" if one.limit else listed(value)
        kind = "int32_t" if one.limit else "float"
        yield from f"static const {kind} x_{one.name}[{len(value)}] = {text};".split("\n")


def _expected(lasts: dict[str, Array]) -> Iterator[str]:
    for name, value in lasts.items():
        text = f"static const float y_{name}[{len(value[:MOST])}] = {listed(narrowed(value[:MOST], name))};"
        yield from text.split("\n")


def _run(step: Step) -> Iterator[str]:
    name, inputs = step.name, step.flow.inputs
    yield f"{name}_input in;"
    yield f"{name}_output out;"
    yield f"{name}_state state;"
    yield "int wrong = 0;"
    yield f"{name}_reset(&state);"
    yield f"for (int t = 0; t < {STEPS}; ++t) {{"
    for one in inputs:
        loop, index, at = f"for (int k = 0; k < {one.kind.width}; ++k) ", "[k]", "[k]"
        if one.kind.width == 1:
            loop, index, at = "", "", "[0]"
        grown = f"x_{one.name}{at} * {GROWN}" if _grows(one) else f"x_{one.name}{at}"
        grown = f"(x_{one.name}{at} + t) % {one.limit}" if one.limit else grown
        yield f"    {loop}in.{step.inputs[one.name]}{index} = {grown};"
    call = f"{name}_step(&state, &in, &out);"
    yield f"    wrong += {call}" if any(one.limit for one in inputs) else f"    {call}"
    yield "}"


def _compared(step: Step, lasts: dict[str, Array]) -> Iterator[str]:
    for one in step.flow.outputs:
        value = lasts[one.name]
        tolerance = number((WHOLE_TOLERANCE if step.whole else TOLERANCE) * max(1.0, float(np.abs(value).max())))
        own = f"{'(float)' * (step.flow.kinds[one.node].dtype == 'int')}out.{step.outputs[one.name]}"
        yield f"for (int k = 0; k < {len(value[:MOST])}; ++k) {{"
        yield f"    const float error = {own}{'[k]' * (len(value) > 1)} - y_{one.name}[k];"
        yield f"    wrong += !(error >= -{tolerance} && error <= {tolerance}); /* also what is not a number */"
        yield "}"
    yield "return wrong;"
