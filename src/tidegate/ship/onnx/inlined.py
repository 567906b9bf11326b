"""One layer as a graph by itself, as an operation of torch calls it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tidegate.runtime import SizedCell
from tidegate.ship.onnx.layer import Frame, Problem
from tidegate.ship.onnx.lower import lower
from tidegate.ship.onnx.weights import Array, Weights
from tidegate.ship.onnx.writer import Writer, floats

if TYPE_CHECKING:
    from onnx import GraphProto


def inlined(
    cell: SizedCell, parameters: Sequence[Array], inputs: Sequence[str], name: str, opset: int, *, native: bool
) -> GraphProto:
    """A layer as a graph whose constants are nodes.

    Args:
        cell: with its widths.
        parameters: those of one direction after the other.
        inputs: ``x``, and which of ``lengths``, ``reset``, ``first0``, ``given0`` and so on there are.
        name: what all names in it begin with.
        opset: of the default domain.
        native: use a node where the cell is one.

    Returns:
        A graph with the outputs of ``torch.ops.tidegate.layer``: the output, the last states, and nothing saved.
    """
    writer, each = Writer(opset), len(cell.parameters)
    names = {one: writer.name(f"{name}{one}") for one in inputs}
    x, count = names["x"], len(parameters) // each
    steps = writer.add("Shape", x, name=f"{name}steps", start=0, end=1)
    batch = writer.add("Shape", x, name=f"{name}batch", start=1, end=2)
    scoped = writer.scoped(name)
    frame = Frame(scoped, steps, batch, names.get("lengths", ""), names.get("reset", ""))
    frame = replace(frame, given={value.name: names[f"given{k}"] for k, value in enumerate(cell.graph.given)})
    held = [dict(zip(cell.parameters, parameters[k * each :], strict=False)) for k in range(count)]
    weights = tuple(Weights(cell.graph, cell.widths, arrays) for arrays in held)
    zeros = tuple(np.zeros(width) for width in cell.state_widths)
    problem = Problem(name, cell.graph, weights, (zeros,) * count)
    first = []
    for k, zero in enumerate(zeros):
        if f"first{k}" in names:
            parts = scoped.split(names[f"first{k}"], [1] * count, [f"first{k}.{d}" for d in range(count)], axis=0)
            first.append([scoped.squeezed(part, 0, f"first{k}.of_direction") for part in parts])
        else:
            first.append([scoped.hold(zero[None], "zeros")] * count)
    results, _ = lower(frame, problem, x, tuple(zip(*first, strict=True)), as_node=native)
    output = results.output if results.zeroed or not frame.lengths else frame.zeroed(results.output)
    ends = [
        scoped.joined([scoped.deepened(of_direction[k], 0, "end") for of_direction in results.last], "ends", axis=0)
        for k in range(len(zeros))
    ]
    nothing = scoped.hold(np.zeros(0), "nothing_saved")
    outputs = [scoped.node("Identity", [value], [scoped.name("result")])[0] for value in (output, *ends, nothing)]
    scoped.make_constants_nodes()
    return scoped.graph(name, [floats(one, None) for one in names.values()], [floats(one, None) for one in outputs])
