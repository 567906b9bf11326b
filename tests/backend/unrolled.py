"""One layer by its equations, sequence by sequence and step by step, with something added to every product and state.

What is added is zero, so that results stay as they are. But the gradient by it is the adjoint of what it was added to,
and a small number instead of the zero gives a difference quotient: two references for what the engine says of adjoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tidegate.cell import Node, Op
from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import all_widths
from tidegate.nn import Recurrent
from tidegate.runtime import TENSORS

Key = tuple[int, str, Any]  # direction, "state", "product" or "vector", and which one


@dataclass
class Problem:
    """A call of a layer that has one layer; lengths and resets are by sequence."""

    layer: Recurrent
    x: Tensor  # [T, B, I]
    first: tuple[Tensor, ...]  # each [directions, B, width]
    lengths: Sequence[int]
    resets: Tensor  # [T, B]
    added: dict[Key, Tensor] = field(default_factory=dict)  # each [T, B, width]
    operands: dict[tuple[int, int], Tensor] = field(default_factory=dict)  # by direction and node, [T, B, width]

    def __post_init__(self) -> None:
        graph, widths = self.layer.graph, all_widths(self.layer.cells[0].widths)
        for d in range(1 + self.layer.bidirectional):
            names = {(d, "state", s.name): s.axis for s in graph.states}
            nodes = enumerate(graph.nodes)
            names |= {(d, *key): n.axis for i, n in nodes if (key := self.key(i, n))}
            for key, axis in names.items():
                self.added[key] = self.x.new_zeros(*self.x.shape[:2], widths[axis]).requires_grad_()

    @staticmethod
    def key(index: int, node: Node) -> tuple[str, Any] | None:
        """What a node is called in ``added``."""
        return {Op.PRODUCT: ("product", index), Op.VECTOR: ("vector", (node.matrix, node.name))}.get(node.op)

    def run(self) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output [T, B, directions * width] and last states, as a call of the layer has them."""
        outputs, lasts = [], []
        for d in range(1 + self.layer.bidirectional):
            columns = [self._sequence(d, b) for b in range(self.x.shape[1])]
            outputs.append(torch.stack([y for y, _ in columns], 1))
            lasts.append([torch.cat(parts) for parts in zip(*(last for _, last in columns), strict=True)])
        return torch.cat(outputs, -1), tuple(map(torch.stack, zip(*lasts, strict=True)))

    def _sequence(self, d: int, b: int) -> tuple[Tensor, tuple[Tensor, ...]]:
        graph, steps = self.layer.graph, range(self.lengths[b])
        states = tuple(state[d, b : b + 1] for state in self.first)
        outputs = list(self.x.new_zeros(len(self.x), self.layer.cells[0].output_width))
        for t in reversed(steps) if d else steps:
            if self.resets[t, b]:
                states = tuple(torch.zeros_like(state) for state in states)
            values = self._step(d, t, b, states)
            new = zip(graph.states, graph.updates, strict=True)
            states = tuple(values[u].expand(1, -1) + self.added[d, "state", s.name][t, b] for s, u in new)
            outputs[t] = states[0][0]
        return torch.stack(outputs), states

    def _step(self, d: int, t: int, b: int, states: tuple[Tensor, ...]) -> list[Tensor]:
        cell = self.layer.cells[0]
        graph, widths, count = cell.graph, cell.widths, len(cell.names)
        own = dict(zip(cell.names, self.layer.layer_parameters(0)[d * count : (d + 1) * count], strict=True))
        named = dict(zip((s.name for s in graph.states), states, strict=True))

        def rows(parameter: Any, name: str, tensor: Tensor) -> Tensor:
            blocks = [
                block for block in parameter.blocks if tensor.dim() > 1 or block.bias or parameter in graph.vectors
            ]
            parts = tensor.split([widths[block.axis] for block in blocks])
            return dict(zip((block.name for block in blocks), parts, strict=True)).get(name, tensor.new_zeros(1))

        def leaf(node: Node) -> Any:
            if node.op is Op.CONST:
                return node.value
            if node.op is Op.INPUT:
                return self.x[t, b : b + 1]
            if node.op is Op.STATE:
                return named[node.name]
            vector = rows(graph.vector(node.matrix), node.name, own[node.matrix])
            return vector + self.added[d, "vector", (node.matrix, node.name)][t, b]

        def product(node: Node, operand: Tensor) -> Tensor:
            known = self.operands.setdefault((d, node.args[0]), self.x.new_zeros(*self.x.shape[:2], operand.shape[-1]))
            known[t, b] = operand[0].detach()
            matrix = graph.matrix(node.matrix)
            value = operand @ rows(matrix, node.name, own[f"weight_{node.matrix}"]).T
            if matrix.has_bias:
                value = value + rows(matrix, node.name, own[f"bias_{node.matrix}"])
            return value + self.added[d, "product", graph.nodes.index(node)][t, b]

        return evaluate(graph, TENSORS, leaf, product)
