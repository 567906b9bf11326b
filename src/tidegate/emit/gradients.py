"""From a cell and its widths to what makes the gradients of its parameters: products and sums over all steps."""

from __future__ import annotations

from collections.abc import Iterable

from tidegate.cell.parameter import stored_columns
from tidegate.emit.place import Memory, runs, series_place
from tidegate.emit.plan import Gradient, Kind, Place, Sum
from tidegate.passes import OUTPUT, PREVIOUS, MatrixGradient


def gradients_of_matrices(memory: Memory) -> Iterable[Gradient]:
    """All products over steps that make the gradients of matrices."""
    return (one for gradient in memory.cell.lowered.matrices for one in _gradients(memory, gradient))


def _gradients(memory: Memory, gradient: MatrixGradient) -> list[Gradient]:
    """The gradient of some blocks of a matrix, head by head; neighbours are one product."""
    place, own = _operand_place(memory, gradient.operand), memory.cell.graph.matrix(gradient.matrix)
    columns, found = stored_columns(own, memory.widths), []
    for row, rows, adjoint in runs(memory, gradient.matrix, adjoints(memory, gradient)):
        for head in range(own.heads):
            first, operand = head * rows // own.heads, place._replace(offset=place.offset + head * columns)
            at, here = adjoint.offset + first, row + first
            found.append(Gradient(at, rows // own.heads, columns, operand, f"d weight_{own.name}", here))
    return found


def adjoints(memory: Memory, gradient: MatrixGradient) -> list[tuple[str, Place]]:
    """For each block of a matrix where the adjoint of its product lies in the chunk."""
    return [(block, Place(Kind.CHUNK, memory.chunk[series])) for block, series in gradient.blocks]


def _operand_place(memory: Memory, operand: str) -> Place:
    if operand == PREVIOUS:
        return Place(Kind.PREVIOUS, tensor=OUTPUT, initial=f"first {memory.cell.graph.output.name}")
    return series_place(memory, operand)


def sums(memory: Memory) -> Iterable[Sum]:
    """All sums over steps: the gradients of biases and vectors."""
    return (
        Sum(memory.chunk[series], rows, name, row)
        for series, rows, name, row in _summed(memory)
        if series in memory.chunk
    )


def tallied(memory: Memory) -> Iterable[Sum]:
    """Those of them that are added up for each sequence instead: columns of the tally."""
    return (
        Sum(memory.tally[series], rows, name, row)
        for series, rows, name, row in _summed(memory)
        if series in memory.tally
    )


def _summed(memory: Memory) -> Iterable[tuple[str, int, str, int]]:
    """Series that are added up, their widths, and which elements of which gradient they are."""
    for gradient in memory.cell.lowered.matrices:
        for block, series in gradient.blocks:
            _, rows, bias = memory.blocks[gradient.matrix, block]
            if bias is not None:
                yield series, rows, f"d bias_{gradient.matrix}", bias
    for (vector, block), series in memory.cell.lowered.vectors.items():
        row, rows, _ = memory.blocks[vector, block]
        yield series, rows, f"d {vector}", row
