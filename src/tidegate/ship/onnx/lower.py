"""Choose how a layer is lowered: to a node of ONNX where it is one, else to a Scan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tidegate.ship.onnx.form import Form, form_of
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.native import native, native_step
from tidegate.ship.onnx.scan import scan
from tidegate.ship.onnx.step import step

form = lru_cache(maxsize=64)(form_of)
MOST_UNITS = 64  # up to which a node is quicker than a Scan for a cell that multiplies no state by a matrix


def lower(frame: Frame, problem: Problem, x: str, first: First, *, as_node: bool) -> tuple[Results, str]:
    """Write a layer.

    Args:
        frame: the batch.
        problem: the layer.
        x: its input [T, B, I].
        first: the states before the first step.
        as_node: as a node where it is one.

    Returns:
        What it gives, and how it was written.
    """
    found = _chosen(problem, as_node=as_node, resets=bool(frame.reset))
    if isinstance(found, Form):
        return native(frame, problem, found, x, first), f"native: {found.kind}"
    return scan(frame, problem, x, first), f"scan: {found}"


def lower_step(
    frame: Frame, problem: Problem, x: str, states: Sequence[str], *, as_node: bool
) -> tuple[list[str], str]:
    """Write one step of a layer in one direction; as ``lower``, with an input [B, I] and states [B, width]."""
    found = _chosen(problem, as_node=as_node, resets=False)
    if isinstance(found, Form):
        return native_step(frame, problem, found, x, states), f"native: {found.kind}"
    widths = problem.weights[0].widths
    filled = [
        frame.filled(value, widths[state.axis], f"{problem.name}{state.name}.first")
        for value, state in zip(states, problem.graph.states, strict=True)
    ]
    return step(frame, problem, x, filled), f"nodes: {found}"


def _chosen(problem: Problem, *, as_node: bool, resets: bool) -> Form | str:
    """The node, or why it is none."""
    if not as_node:
        return "asked for"
    if resets:
        return "no node has resets"
    if problem.graph.given:
        return "no node reads more than its input"
    found, width = form(problem.graph), problem.weights[0].widths[problem.graph.output.axis]
    if isinstance(found, Form) and not found.has_matrix and width > MOST_UNITS:
        return f"without recurrent matrices, so that a node of {width} units would multiply by zeros"
    return found
