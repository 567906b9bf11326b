"""The eager reference: a graph run step by step with torch operations.

It works for every dtype and device that torch has, and everything torch can do to its own
operations (double backward, vmap, forward mode) works through it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from tidegate.cell.evaluate import evaluate
from tidegate.cell.graph import OUTSIDE, Graph, Matrix, Node, Op, Vector, all_widths
from tidegate.runtime.rounding import rounding_multiplier
from tidegate.runtime.rows import Rows
from tidegate.runtime.sized import Products
from tidegate.runtime.tensor import TENSORS

Tensors = tuple[torch.Tensor, ...]
Multiply = Callable[[torch.Tensor], dict[str, torch.Tensor]]


def run(
    graph: Graph,
    parameters: Mapping[str, torch.Tensor],
    widths: Mapping[str, int],
    rows: Rows,
    initial: Tensors,
    *,
    reverse: bool = False,
    wanted: Sequence[int] | None = None,
    products: Products | None = None,
) -> tuple[list[torch.Tensor], Tensors]:
    """Run a cell over sequences, in one direction.

    Args:
        graph: the cell.
        parameters: ``weight_M`` and ``bias_M`` of each matrix M, each vector, what is given and each mask, by their
            names in the graph. What is given, and a mask of each step, is laid out as ``rows.data``, other masks have a
            row for each sequence.
        widths: the width of each axis of the graph.
        rows: the input sequences.
        initial: the states before the first step in the order of the graph, each [B, width]. B may
            exceed ``rows.steps.sizes[0]``: the rows beyond it have length zero and keep their state.
        reverse: from the last step of each sequence to its first.
        wanted: nodes whose values are returned; the output alone unless given.
        products: the type to which factors of products are rounded, see ``sized.sized``; None for no rounding.

    Returns:
        For each wanted node its values, laid out as ``rows.data``, and the final states [B, width].
    """
    wanted = graph.updates[:1] if wanted is None else wanted
    widths = all_widths(widths)
    cell = _Cell(graph, parameters, widths, {*wanted, *graph.updates}, products)
    inputs = cell.from_outside(rows) | cell.masks(rows.steps.counts)
    sizes = rows.steps.counts
    resets = None if rows.resets is None else rows.resets.split(sizes)
    values_of: dict[int, list[torch.Tensor]] = {t: [] for t in range(len(sizes))}
    states = initial
    finished: list[Tensors] = []
    if reverse:
        states = tuple(state[: sizes[-1] if sizes else 0] for state in initial)
    for t in sorted(values_of, reverse=reverse):
        states = _resized(states, sizes[t], initial, finished)
        if resets is not None:
            states = tuple(state.masked_fill(resets[t][:, None], 0) for state in states)
        values = cell.step({index: steps[t] for index, steps in inputs.items()}, states)
        values_of[t] = [values[index] for index in wanted]
        states = tuple(values[index] for index in graph.updates)
    if finished:
        states = tuple(torch.cat(parts) for parts in zip(states, *reversed(finished), strict=True))
    states = _resized(states, len(initial[0]), initial, finished)
    outputs = [
        torch.cat([values_of[t][k] for t in values_of])
        if values_of
        else rows.data.new_zeros(0, widths[graph.nodes[index].axis])
        for k, index in enumerate(wanted)
    ]
    return outputs, states


def _resized(states: Tensors, size: int, initial: Tensors, finished: list[Tensors]) -> Tensors:
    """Set aside the rows that end here, or take in those that begin."""
    have = len(states[0])
    if size < have:
        finished.append(tuple(state[size:] for state in states))
        return tuple(state[:size] for state in states)
    if size > have:
        return tuple(torch.cat([state, first[have:size]]) for state, first in zip(states, initial, strict=True))
    return states


def _varies(graph: Graph, index: int) -> bool:
    """Whether a value depends on the input or a state, and not on parameters alone."""
    return any(graph.nodes[i].op in (*OUTSIDE, Op.STATE, Op.MASK) for i in graph.reaches((index,)))


class _Cell:
    """A graph with the parameters of one layer and direction."""

    def __init__(
        self,
        graph: Graph,
        parameters: Mapping[str, torch.Tensor],
        widths: Mapping[str, int],
        results: set[int],
        products: Products | None,
    ) -> None:
        self.graph, self.parameters, self.widths, self.products = graph, parameters, widths, products
        self.vectors = {
            (vector.name, block.name): part
            for vector in graph.vectors
            for block, part in zip(vector.blocks, self._parts(vector), strict=True)
        }
        self.same_for_all_rows = [index for index in sorted(results) if not _varies(graph, index)]
        self.multiply = {
            (name, operand): self._multiply(graph.matrix(name), [graph.nodes[index].name for index in group])
            for name, operand, group in graph.products
        }

    def from_outside(self, rows: Rows) -> dict[int, Sequence[torch.Tensor]]:
        """The input, what is given, and their products, which wait for no state: node to values by step."""
        nodes, counts = self.graph.nodes, rows.steps.counts
        leaves = {i: node for i, node in enumerate(nodes) if node.op in OUTSIDE}
        data = {i: rows.data if node.op is Op.INPUT else self.parameters[node.name] for i, node in leaves.items()}
        values: dict[int, Sequence[torch.Tensor]] = {i: every.split(counts) for i, every in data.items()}
        for name, operand, group in self.graph.products:
            if operand in data:
                blocks = self.multiply[name, operand](data[operand])
                values |= {i: blocks[nodes[i].name].split(counts) for i in group}
        return values

    def masks(self, sizes: Sequence[int]) -> dict[int, Sequence[torch.Tensor]]:
        """The values of masks: node to values by step."""
        each = {mask.name: mask.each for mask in self.graph.masks}
        named = {index: node.name for index, node in enumerate(self.graph.nodes) if node.op is Op.MASK}
        return {
            index: self.parameters[name].split(sizes)
            if each[name] == "step"
            else [self.parameters[name][:size] for size in sizes]
            for index, name in named.items()
        }

    def step(self, given: Mapping[int, torch.Tensor], states: Tensors) -> list[torch.Tensor]:
        """The value of every node in one step."""
        named = {state.name: value for state, value in zip(self.graph.states, states, strict=True)}
        products: dict[tuple[str, int], dict[str, torch.Tensor]] = {}

        def leaf(node: Node) -> torch.Tensor | float:
            if node.op is Op.CONST:
                return node.value
            return named[node.name] if node.op is Op.STATE else self.vectors[node.matrix, node.name]

        def product(node: Node, operand: torch.Tensor) -> torch.Tensor:
            key = (node.matrix, node.args[0])
            if key not in products:
                products[key] = self.multiply[key](operand)
            return products[key][node.name]

        values = evaluate(self.graph, TENSORS, leaf, product, given)
        for index in self.same_for_all_rows:
            values[index] = values[index].expand(len(states[0]), -1)
        return values

    def _parts(self, vector: Vector) -> Sequence[torch.Tensor]:
        widths = [self.widths[block.axis] for block in vector.blocks]
        parts: Sequence[torch.Tensor] = self.parameters[vector.name].split(widths)
        return parts

    def _multiply(self, matrix: Matrix, chosen: Sequence[str]) -> Multiply:
        """Multiply by the chosen row blocks at once, and hand them out by name."""
        weight, bias = self._row_blocks(matrix, chosen)
        widths = [self.widths[block.axis] for block in matrix.blocks if block.name in chosen]

        multiply = rounding_multiplier(weight, bias, widths, matrix.heads, self.products)
        return lambda operand: dict(zip(chosen, multiply(operand), strict=True))

    def _row_blocks(self, matrix: Matrix, chosen: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor | None]:
        weight = self.parameters[f"weight_{matrix.name}"]
        bias = self.parameters[f"bias_{matrix.name}"] if matrix.has_bias else None
        all_alike = len({block.bias for block in matrix.blocks}) == 1
        if len(chosen) == len(matrix.blocks) and all_alike:
            return weight, bias
        weights = dict(zip(matrix.blocks, weight.split([self.widths[b.axis] for b in matrix.blocks]), strict=True))
        taken = [block for block in matrix.blocks if block.name in chosen]
        if bias is None:
            return torch.cat([weights[block] for block in taken]), None
        with_bias = [block for block in matrix.blocks if block.bias]
        biases = dict(zip(with_bias, bias.split([self.widths[b.axis] for b in with_bias]), strict=True))
        none = weight.new_zeros(max(self.widths.values()))
        padded = [biases.get(block, none[: self.widths[block.axis]]) for block in taken]
        return torch.cat([weights[block] for block in taken]), torch.cat(padded)
