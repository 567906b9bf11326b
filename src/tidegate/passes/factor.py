"""Recurrent matrices of low rank: each is the product of two narrow ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tidegate.cell.graph import Block, Graph, Matrix, Node, Op
from tidegate.cell.parameter import PROJECTION, factor_of, factored
from tidegate.cell.symbol import Symbol
from tidegate.cell.verify import check_name
from tidegate.errors import SpecError
from tidegate.passes.rewrite import Rewriter

AXIS = "R"


def factor(graph: Graph) -> Graph:
    """The same cell with ``A(B(h))`` for ``U(h)``, in every matrix that is applied to something else than the input.

    A keeps the name, the blocks and the biases of U, and has columns of an axis R. B is ``U_rank``: it has a block of R
    rows for each value that U is applied to, such as h and r * h of a GRU that resets before the product. A projection
    is left alone.

    Args:
        graph: the cell.

    Raises:
        SpecError: the cell has matrices of low rank already, or heads, or an axis R of its own.
    """
    if factored(graph) or AXIS in graph.own_axes:
        raise SpecError(
            "RANK", f"{graph.name} has matrices of low rank, or an axis {AXIS} of its own", fix="leave rank out"
        )
    for matrix in graph.matrices:
        if matrix.heads > 1:
            raise SpecError("RANK", f"{matrix.name} of {graph.name} has heads", fix="choose either heads or rank")
    products = {
        (name, operand): group
        for name, operand, group in graph.products
        if name != PROJECTION and graph.is_recurrent(operand)
    }
    names: dict[tuple[str, int], str] = {}
    for (name, operand), group in products.items():
        taken = {block for (other, _), block in names.items() if other == name}
        names[name, operand] = _block_name(graph, operand, group, taken)

    def change(rewriter: Rewriter, index: int, args: Sequence[Symbol]) -> Symbol | None:
        node = graph.nodes[index]
        block = names.get((node.matrix, node.args[0])) if node.op is Op.PRODUCT else None
        if block is None:
            return None
        narrow = rewriter.add(
            Node(Op.PRODUCT, (args[0].index,), block, rewriter.free(factor_of(node.matrix)), axis=AXIS)
        )
        return rewriter.copy(node, [narrow])

    factors = []
    for matrix in graph.matrices:
        blocks = tuple(Block(block, AXIS) for (name, _), block in names.items() if name == matrix.name)
        if blocks:
            factors.append(Matrix(factor_of(matrix.name), blocks, matrix.columns))
    halved = {name for name, _ in names}
    outer = [replace(matrix, columns=AXIS) if matrix.name in halved else matrix for matrix in graph.matrices]
    return Rewriter("factor", graph, change).finished(matrices=(*outer, *factors))


def _block_name(graph: Graph, operand: int, group: Iterable[int], taken: set[str]) -> str:
    """A block of B is called after the state that it multiplies, else after the gates that read it."""
    node, gates = graph.nodes[operand], [graph.nodes[index].name for index in group]
    wanted = [node.name] if node.op is Op.STATE else []
    wanted += ["_".join(gates), *gates]
    return next(name for name in wanted if name not in taken and not check_name(name))
