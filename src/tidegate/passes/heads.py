"""Heads: groups of units that see nothing of each other's states (Beck et al. 2024, arXiv 2405.04517, section 2.2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from tidegate.cell.graph import Graph
from tidegate.cell.verify import verify_derived
from tidegate.errors import SpecError


def without_heads(graph: Graph) -> Graph:
    """The same cell with whole matrices, which have zeros between heads; parameters are stored in another form."""
    return replace(graph, matrices=tuple(replace(matrix, heads=1) for matrix in graph.matrices))


def split_into_heads(graph: Graph, heads: int, names: Collection[str]) -> Graph:
    """The same cell with some of its matrices block diagonal.

    Of ``U(h).i``, head k of the rows multiplies head k of h and nothing else: ``[U_1 h_1, ..., U_n h_n]``. The matrix
    is stored without its zeros, as [rows, columns / heads].

    Args:
        graph: the cell.
        heads: as many must divide the rows and the columns.
        names: of the matrices.

    Raises:
        SpecError: one of them has heads already.
    """
    for matrix in graph.matrices:
        if matrix.name in names and matrix.heads > 1:
            raise SpecError(
                "HEADS", f"{matrix.name} of {graph.name} has {matrix.heads} heads already", fix="leave heads out"
            )
    changed = tuple(replace(m, heads=heads) if m.name in names else m for m in graph.matrices)
    split = replace(graph, matrices=changed)
    verify_derived(split, "split_into_heads")
    return split
