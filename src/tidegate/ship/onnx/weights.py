"""The parameters of one direction of a layer, block by block, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.cell.function import ARITHMETIC, Table
from tidegate.cell.graph import Block, Graph, Node, Op
from tidegate.runtime.heads import whole

Array = NDArray[np.float64]


class Weights:
    """Row blocks of matrices, biases and vectors by name. Matrices with heads are whole, with zeros between heads.

    Args:
        graph: the cell.
        widths: of its axes.
        arrays: its parameters, named as ``cell.parameter.parameter_shapes`` names them.
    """

    def __init__(self, graph: Graph, widths: Mapping[str, int], arrays: Mapping[str, NDArray[Any]]) -> None:
        self.graph, self.widths = graph, dict(widths)
        self._blocks = dict[tuple[str, str, str], Array]()
        for matrix in graph.matrices:
            rows = [widths[block.axis] for block in matrix.blocks]
            weight = torch.tensor(arrays[f"weight_{matrix.name}"], dtype=torch.float64)
            self._cut("weight", matrix.name, matrix.blocks, whole(weight, rows, matrix.heads).numpy())
            if matrix.has_bias:
                biased = tuple(block for block in matrix.blocks if block.bias)
                self._cut("bias", matrix.name, biased, arrays[f"bias_{matrix.name}"])
        for vector in graph.vectors:
            self._cut("vector", vector.name, vector.blocks, arrays[vector.name])

    def _cut(self, kind: str, name: str, blocks: tuple[Block, ...], array: NDArray[Any]) -> None:
        ends = np.cumsum([self.widths[block.axis] for block in blocks])[:-1]
        for block, part in zip(blocks, np.split(np.asarray(array, np.float64), ends), strict=True):
            self._blocks[kind, name, block.name] = part

    def rows(self, matrix: str, block: str) -> Array:
        """The rows of a matrix."""
        return self._blocks["weight", matrix, block]

    def bias(self, matrix: str, block: str) -> Array | float:
        """What is added to a product with these rows."""
        return self._blocks.get(("bias", matrix, block), 0.0)

    def vector(self, vector: str, block: str) -> Array:
        """A block of a vector."""
        return self._blocks["vector", vector, block]

    def fixed(self, node: Node, args: list[Array]) -> Array:
        """The value of a node that depends on parameters alone."""
        if node.op is Op.CONST:
            return np.asarray(node.value, np.float64)
        if node.op is Op.VECTOR:
            return self.vector(node.matrix, node.name)
        if node.op is Op.PRODUCT:
            return np.asarray(self.rows(node.matrix, node.name) @ args[0] + self.bias(node.matrix, node.name))
        return np.asarray(ARRAYS[node.op](*args))


def _mean(*values: Array) -> Array:
    total = reduce(np.add, [value.mean(-1, keepdims=True) for value in values])
    return np.asarray(total / len(values))


def _variance(*values: Array) -> Array:
    middle = _mean(*values)
    return _mean(*(np.square(value - middle) for value in values))


def _sigmoid(value: Array) -> Array:
    return np.asarray(0.5 * np.tanh(0.5 * value) + 0.5)


ARRAYS: Table = {
    **ARITHMETIC,
    Op.MAXIMUM: np.maximum,
    Op.MINIMUM: np.minimum,
    Op.CLAMP: lambda value, bound: np.clip(value, -bound, bound),
    Op.SIGMOID: _sigmoid,
    Op.TANH: np.tanh,
    Op.RELU: lambda value: np.maximum(value, 0.0),
    Op.EXP: np.exp,
    Op.LOG: np.log,
    Op.LOG_SIGMOID: lambda value: -np.logaddexp(0.0, -value),
    Op.SQRT: np.sqrt,
    Op.MEAN: _mean,
    Op.VARIANCE: _variance,
}
