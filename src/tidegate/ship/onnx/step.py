"""A single step of a layer as plain nodes: the one case in which a loop is unrolled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tidegate.cell.graph import OUTSIDE, Op
from tidegate.ship.onnx.layer import Frame, Problem
from tidegate.ship.onnx.plan import FIXED, Plan
from tidegate.ship.onnx.values import LateValues


def step(frame: Frame, problem: Problem, x: str, states: Sequence[str]) -> list[str]:
    """Write one step of a layer.

    Args:
        frame: the batch.
        problem: the layer, in one direction.
        x: its input [B, I].
        states: before the step, each [B, width].

    Returns:
        The states after the step, each [B, width].
    """
    graph, weights = problem.graph, problem.weights[0]
    plan = Plan(graph, hoisted=False)
    named = dict(zip([state.name for state in graph.states], states, strict=True))
    nodes = enumerate(graph.nodes)
    given = {i: x if node.op is Op.INPUT else frame.given[node.name] for i, node in nodes if node.op in OUTSIDE}
    given |= {i: named[node.name] for i, node in enumerate(graph.nodes) if node.op is Op.STATE}
    values = LateValues(plan, weights, frame.writer.scoped(problem.name), given, {})
    values.write()
    return [
        replace(frame, spread=True).filled(values.value(index), weights.widths[state.axis], f"{state.name}.new")
        if plan.levels[index] == FIXED
        else values.value(index)
        for state, index in zip(graph.states, graph.updates, strict=True)
    ]
