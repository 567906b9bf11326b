"""The stacked layers of a ``Recurrent``, lowered one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tidegate.cell.parameter import attribute
from tidegate.nn import Recurrent
from tidegate.ship.onnx.layer import First, Frame, Problem, Results
from tidegate.ship.onnx.lower import lower, lower_step
from tidegate.ship.onnx.weights import Array, Weights


def lower_stack(
    frame: Frame, layer: Recurrent, name: str, x: str, first: Sequence[First], *, as_node: bool
) -> tuple[Results, list[First], list[str]]:
    """Write all layers.

    Args:
        frame: the batch.
        layer: the stack.
        name: what names of its values begin with.
        x: its input [T, B, I].
        first: for each layer the states before the first step.
        as_node: as nodes where they are such.

    Returns:
        What the last layer gives, the last states of each layer, and how each was written.
    """
    results, ends, lowerings = Results(x, (), zeroed=True), [], []
    for k, states in enumerate(first):
        results, how = lower(frame, _problem(layer, k, name), results.output, states, as_node=as_node)
        ends.append(results.last)
        lowerings.append(how)
    return results, ends, lowerings


def lower_stack_step(
    frame: Frame, layer: Recurrent, name: str, x: str, first: Sequence[First], *, reset: str, as_node: bool
) -> tuple[str, list[First], list[str]]:
    """Write one step of all layers, in one direction; as ``lower_stack``, with an input [B, I] and resets [B]."""
    writer, ends, lowerings = frame.writer, list[First](), []
    for k, (states,) in enumerate(first):
        problem, begun = _problem(layer, k, name), list(states)
        if reset:
            column = writer.deepened(reset, 1, "reset.column")
            begun = [
                writer.add("Where", column, writer.hold(start, "start"), state, name=f"{state}.now")
                for start, state in zip(problem.restart[0], states, strict=True)
            ]
        new, how = lower_step(frame, problem, x, begun, as_node=as_node)
        x = new[0]
        ends.append((tuple(new),))
        lowerings.append(how)
    return x, ends, lowerings


def first_values(layer: Recurrent, k: int, direction: int) -> tuple[Array, ...]:
    """The states with which a sequence begins, in one direction of one layer: each [width]."""
    names = layer.options.first_states(layer.graph)
    if not names:
        return tuple(np.zeros(width) for width in layer.cells[k].state_widths)
    return tuple(_array(layer, attribute(name, k, reverse=bool(direction))) for name in names)


def _problem(layer: Recurrent, k: int, name: str) -> Problem:
    cell, directions = layer.cells[k], range(1 + layer.bidirectional)
    held = [
        {own: _array(layer, layer.attribute_of(own, k, reverse=bool(direction))) for own in cell.parameters}
        for direction in directions
    ]
    return Problem(
        f"{name}layer{k}/",
        cell.graph,
        tuple(Weights(cell.graph, cell.widths, arrays) for arrays in held),
        tuple(first_values(layer, k, direction) for direction in directions),
    )


def _array(layer: Recurrent, name: str) -> Array:
    array: Array = getattr(layer, name).detach().cpu().double().numpy()
    return array
