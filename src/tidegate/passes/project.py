"""Give the output of a cell its own width by a projection matrix (Sak et al. 2014, arXiv 1402.1128)."""

from __future__ import annotations

from dataclasses import replace

from tidegate.cell.graph import Block, Graph, Matrix, Node, Op, State
from tidegate.cell.parameter import PROJECTION
from tidegate.cell.verify import verify
from tidegate.errors import SpecError

AXIS = "P"


def project(graph: Graph) -> Graph:
    """The same cell with output ``h = W_hr h'``, of axis P instead of H.

    Args:
        graph: the cell.

    Raises:
        SpecError: the cell also uses its output without a matrix, where the widths would differ.
    """
    output = graph.output.name
    nodes = tuple(
        replace(node, axis=AXIS) if node.op is Op.STATE and node.name == output else node for node in graph.nodes
    )
    product = Node(Op.PRODUCT, (graph.updates[0],), output, PROJECTION, axis=AXIS)
    matrices = tuple(_narrowed(graph, nodes, matrix) for matrix in graph.matrices)
    projected = replace(
        graph,
        matrices=(*matrices, Matrix(PROJECTION, (Block(output, AXIS),), graph.output.axis)),
        states=(State(output, AXIS), *graph.states[1:]),
        nodes=(*nodes, product),
        updates=(len(nodes), *graph.updates[1:]),
        gates=tuple((name, index) for name, index in graph.gates if name != output),
    )
    try:
        verify(projected)
    except SpecError as error:
        raise SpecError(
            "PROJECTION",
            f"{graph.name} cannot be projected: it uses {output} by itself, not only through a matrix",
            fix="leave proj_size at 0",
        ) from error
    return projected


def _narrowed(graph: Graph, nodes: tuple[Node, ...], matrix: Matrix) -> Matrix:
    operands = [nodes[operand].axis for name, operand, _ in graph.products if name == matrix.name]
    return replace(matrix, columns=AXIS) if AXIS in operands else matrix
