"""Gates that share one matrix and are told apart by vectors (Zhang & Woodland 2018, arXiv 1806.06513)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tidegate.cell.graph import Block, Graph, Matrix, Node, Op, Vector
from tidegate.cell.initial import Initial
from tidegate.cell.parameter import PROJECTION, bias_of
from tidegate.cell.symbol import Symbol
from tidegate.cell.verify import check_name
from tidegate.passes.rewrite import Rewriter

SCALE = "tied"  # tied_l0 has a block for each gate

Key = tuple[str, str]  # a matrix and one of its blocks


def tie_gates(graph: Graph) -> Graph:
    """The same cell with ``tied_i * W(x) + b_i`` for ``W_i x + b_i``, for all gates that a matrix makes of one value.

    One block serves all of them, of each matrix for each value that it is applied to. A gate has one vector ``tied_i``
    for all matrices, so ``W_i x + b_i + U_i h`` becomes ``tied_i * W(x) + b_i + tied_i * U(h)``, and keeps its biases.
    A block that is alone with its value stays as it is, and so does a projection.

    Args:
        graph: the cell.
    """
    shared = _shared_blocks(graph)
    touched = {name for name, _ in shared}
    biased = {(m.name, b.name) for m in graph.matrices if m.name in touched for b in m.blocks if b.bias}

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        node = graph.nodes[index]
        key = (node.matrix, node.name)
        if node.op is not Op.PRODUCT or key[0] not in touched:
            return None
        value = rewriter.copy(replace(node, name=shared.get(key, node.name)), args)
        if key in shared:
            value = rewriter.add(Node(Op.VECTOR, name=node.name, matrix=rewriter.free(SCALE), axis=node.axis)) * value
        if key in biased:
            value = value + rewriter.add(Node(Op.VECTOR, name=node.name, matrix=bias_of(node.matrix), axis=node.axis))
        return value

    scaled = {block: axis for (_, block), axis in _axes(graph, shared).items()}
    biases = [
        Vector(bias_of(m.name), tuple(replace(b, bias=False) for b in m.blocks if b.bias))
        for m in graph.matrices
        if m.name in touched and m.has_bias
    ]
    scales = [Vector(SCALE, tuple(Block(name, axis) for name, axis in scaled.items()))] if scaled else []
    matrices = tuple(_tied(matrix, shared) if matrix.name in touched else matrix for matrix in graph.matrices)
    vectors = (*biases, *graph.vectors, *scales)
    initial = (*graph.initial, *(Initial(scale.name, "constant 1") for scale in scales))
    return Rewriter("tie_gates", graph, change).finished(matrices=matrices, vectors=vectors, initial=initial)


def _shared_blocks(graph: Graph) -> dict[Key, str]:
    """For each block that shares its value and width with others the name of the block that they become."""
    shared: dict[Key, str] = {}
    for name, _, group in graph.products:
        nodes = [graph.nodes[index] for index in group]
        for axis in dict.fromkeys(node.axis for node in nodes):
            gates = [node.name for node in nodes if node.axis == axis]
            if len(gates) > 1 and name != PROJECTION:
                together = "_".join(gates)
                free = not check_name(together) and together not in {b.name for b in graph.matrix(name).blocks}
                shared |= {(name, gate): together if free else gates[0] for gate in gates}
    return shared


def _axes(graph: Graph, shared: Mapping[Key, str]) -> dict[Key, str]:
    return {(m.name, b.name): b.axis for m in graph.matrices for b in m.blocks if (m.name, b.name) in shared}


def _tied(matrix: Matrix, shared: Mapping[Key, str]) -> Matrix:
    """The matrix with one block for all that share it, without biases."""
    blocks = {shared.get((matrix.name, b.name), b.name): replace(b, bias=False) for b in matrix.blocks}
    return replace(matrix, blocks=tuple(replace(block, name=name) for name, block in blocks.items()))
