"""One step of a cell in float64: what it computes, and how large each of its values becomes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from tidegate.cell.graph import Node, Op
from tidegate.emit.sums import Form
from tidegate.runtime.tensor import TENSORS

Tensors = Mapping[str, torch.Tensor]


def run(
    form: Form,
    parameters: Tensors,
    x: torch.Tensor,
    alive: torch.Tensor,
    states: Tensors,
    ranges: dict[int, float],
) -> torch.Tensor:
    """The outputs of a sequence in float64, ``[steps, batch, units]``.

    Args:
        form: the step.
        parameters: of the layer, by name.
        x: ``[steps, batch, features]``.
        alive: whether a sequence has this step, ``[steps, batch]``.
        states: before the first step, by name, ``[batch, units]``.
        ranges: the largest size of each node's values, which is raised where a value is larger.
    """
    carried = form.program.step.carried
    outputs = []
    for now, there in zip(x, alive, strict=True):
        values = _step(form, parameters, now, states)
        for index, value in enumerate(values):
            seen = value[there] if value.dim() == 2 else value
            ranges[index] = max(ranges.get(index, 0.0), float(seen.abs().max()) if seen.numel() else 0.0)
        states = {c.name: torch.where(there[:, None], values[c.after], states[c.name]) for c in carried}
        outputs.append(states[carried[0].name])
    return torch.stack(outputs)


def _step(form: Form, parameters: Tensors, x: torch.Tensor, states: Tensors) -> list[torch.Tensor]:
    values: list[torch.Tensor] = []
    for node in form.nodes:
        if node.op is Op.PRODUCT:
            values.append(_product(form, parameters, node, values[node.args[0]]))
        elif node.op is Op.STATE:
            values.append(states[node.name])
        elif node.op is Op.SERIES:
            values.append(x)
        elif node.op is Op.VECTOR:
            values.append(block(form, parameters, node.matrix, node.matrix, node.name))
        elif node.op is Op.CONST:
            values.append(torch.tensor(node.value, dtype=torch.float64))
        else:
            values.append(TENSORS[node.op](*(values[arg] for arg in node.args)))
    return values


def _product(form: Form, parameters: Tensors, node: Node, operand: torch.Tensor) -> torch.Tensor:
    result = operand @ block(form, parameters, f"weight_{node.matrix}", node.matrix, node.name).T
    if next(b for b in form.graph.matrix(node.matrix).blocks if b.name == node.name).bias:
        result = result + block(form, parameters, f"bias_{node.matrix}", node.matrix, node.name)
    return result


def block(form: Form, parameters: Tensors, parameter: str, owner: str, name: str) -> torch.Tensor:
    """The rows of one block of a parameter of a matrix or vector; a bias has those of biased blocks alone."""
    blocks = next(p for p in form.graph.parameters if p.name == owner).blocks
    stored = [b for b in blocks if b.bias] if parameter == f"bias_{owner}" else blocks
    at = 0
    for one in stored:
        width = form.widths[one.axis]
        if one.name == name:
            return parameters[parameter][at : at + width]
        at += width
    raise AssertionError(f"{parameter} has no {name}")
