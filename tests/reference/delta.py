"""Delta networks, written from the paper: Neil, Lee, Delbruck and Liu, "Delta Networks for Optimized Recurrent Network
Computation", ICML 2017, equations 4 to 13 (a GRU), in float64.

The paper's GRU has one bias a gate and the reset gate behind the product. Ours has two biases, as torch has. The LSTM
is what its rules make of torch's. ``walk`` applies the same rules to the graph of any cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import Graph, Node, Op
from tidegate.runtime import TENSORS


class Product:
    """M v, kept as a sum: s(t) = s(t-1) + M change(t); the change is v(t) - sent(t-1) where it exceeds the threshold.

    Args:
        matrix: [n, k].
        bias: [n]; what the sum begins as.
        threshold: 0 to multiply everything at every step.
        period: steps after which the sum is made of the whole operand.
    """

    def __init__(self, matrix: Tensor, bias: Tensor | None, threshold: float, period: int = 1000) -> None:
        self.matrix, self.threshold, self.period = matrix, threshold, period
        self.bias = torch.zeros(len(matrix), dtype=matrix.dtype) if bias is None else bias
        self.sum, self.sent = self.bias, torch.zeros(matrix.shape[1], dtype=matrix.dtype)
        self.steps, self.made = 0, 0

    def __call__(self, value: Tensor) -> Tensor:
        afresh = self.threshold == 0 or (self.steps > 0 and self.steps % self.period == 0)
        self.steps += 1
        if afresh:
            self.made += self.matrix.numel()
            self.sent, self.sum = value, self.bias + self.matrix @ value
            return self.sum
        changed = (value - self.sent).abs() > self.threshold
        self.made += int(changed.sum()) * len(self.matrix)
        self.sum = self.sum + self.matrix @ torch.where(changed, value - self.sent, 0.0)
        self.sent = torch.where(changed, value, self.sent)
        return self.sum


Products = tuple[Product, Product]


def products_of(layer: torch.nn.Module, inputs: float, states: float) -> Products:
    """Of the first layer of a torch-like module: W x + b and U h + b, in its own order of gates."""
    own = {name: value.detach().double() for name, value in layer.named_parameters()}
    return (
        Product(own["weight_ih_l0"], own["bias_ih_l0"], inputs),
        Product(own["weight_hh_l0"], own["bias_hh_l0"], states),
    )


def gru(x: Tensor, of_x: Product, of_h: Product) -> Tensor:
    """Equations 8 to 13 for one sequence [T, I] from zeros."""
    h, outputs = torch.zeros(of_h.matrix.shape[1], dtype=x.dtype), []
    for row in x:
        x_r, x_u, x_c = of_x(row).chunk(3)
        h_r, h_u, h_c = of_h(h).chunk(3)
        r, u = torch.sigmoid(x_r + h_r), torch.sigmoid(x_u + h_u)
        c = torch.tanh(x_c + r * h_c)
        h = (1 - u) * c + u * h
        outputs.append(h)
    return torch.stack(outputs)


def lstm(x: Tensor, of_x: Product, of_h: Product) -> Tensor:
    """The same rules for an LSTM."""
    h = c = torch.zeros(of_h.matrix.shape[1], dtype=x.dtype)
    outputs = []
    for row in x:
        i, f, g, o = (of_x(row) + of_h(h)).chunk(4)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    return torch.stack(outputs)


def walk(
    graph: Graph, parameters: Mapping[str, Tensor], widths: Mapping[str, int], x: Tensor, inputs: float, states: float
) -> tuple[Tensor, int]:
    """Any cell, node by node of its graph, for one sequence from zeros; and how many multiplications were made."""
    vectors = {
        (vector.name, block.name): part
        for vector in graph.vectors
        for block, part in zip(vector.blocks, _split(parameters[vector.name], vector.blocks, widths), strict=True)
    }
    products: dict[tuple[str, str], Product] = {}
    own = [torch.zeros(1, widths[state.axis], dtype=x.dtype) for state in graph.states]
    names = [state.name for state in graph.states]
    outputs = []
    for row in x:
        known = {"x": row[None]} | dict(zip(names, own, strict=True))

        def leaf(node: Node, known: Mapping[str, Tensor] = known) -> Tensor | float:
            if node.op is Op.CONST:
                return node.value
            if node.op is Op.VECTOR:
                return vectors[node.matrix, node.name]
            return known["x" if node.op is Op.INPUT else node.name]

        def product(node: Node, operand: Tensor) -> Tensor:
            key = node.matrix, node.name
            if key not in products:
                of_input = graph.nodes[node.args[0]].op is Op.INPUT
                products[key] = _product(graph, parameters, widths, key, inputs if of_input else states)
            return products[key](operand[0])[None]

        values = evaluate(graph, TENSORS, leaf, product)
        own = [values[index].expand(1, -1) for index in graph.updates]
        outputs.append(own[0][0])
    return torch.stack(outputs), sum(product.made for product in products.values())


def _split(value: Tensor, blocks: Sequence[object], widths: Mapping[str, int]) -> Sequence[Tensor]:
    return value.split([widths[block.axis] for block in blocks])  # type: ignore[attr-defined,no-any-return]


def _product(
    graph: Graph, parameters: Mapping[str, Tensor], widths: Mapping[str, int], key: tuple[str, str], threshold: float
) -> Product:
    matrix, name = graph.matrix(key[0]), key[1]
    rows = dict(zip(matrix.blocks, _split(parameters[f"weight_{matrix.name}"], matrix.blocks, widths), strict=True))
    block = next(block for block in matrix.blocks if block.name == name)
    with_bias = [block for block in matrix.blocks if block.bias]
    biases = (
        dict(zip(with_bias, _split(parameters[f"bias_{matrix.name}"], with_bias, widths), strict=True))
        if with_bias
        else {}
    )
    whole = torch.block_diag(*rows[block].chunk(matrix.heads))
    return Product(whole, biases.get(block), threshold)
