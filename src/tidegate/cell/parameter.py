"""Names and shapes of a layer's parameters: those of torch.nn where it has any."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.cell.graph import Block, Graph, Matrix
from tidegate.errors import InputError

TORCH_NAMES = {"W": "ih", "U": "hh"}
PROJECTION = "hr"  # the matrix that projects the output: weight_hr_l0
COUNTED = {"H": "units", "I": "features", "P": "projected units"}  # what is as many as an axis is wide
FACTOR = "_rank"  # weight_U_rank is B, and weight_hh A, of a matrix U = A B of low rank
KINDS = ("weight", "bias", "norm")  # of what is named after a matrix or a state


def parameter_shapes(graph: Graph, widths: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Shapes by the names that the runtime knows, in the order in which torch.nn registers them.

    Weights, then biases, then the vectors of the cell, then the projection.

    Raises:
        InputError: heads that do not divide the rows or columns of their matrix.
    """
    weights, biases = {}, {}
    for matrix in graph.matrices:
        rows = [widths[block.axis] for block in matrix.blocks]
        weights[f"weight_{matrix.name}"] = (sum(rows), stored_columns(matrix, widths))
        if matrix.has_bias:
            biased = [r for r, block in zip(rows, matrix.blocks, strict=True) if block.bias]
            biases[f"bias_{matrix.name}"] = (sum(biased),)
    projection = {name: shape for name, shape in weights.items() if name == f"weight_{PROJECTION}"}
    vectors = {vector.name: (sum(widths[block.axis] for block in vector.blocks),) for vector in graph.vectors}
    return {**{name: weights[name] for name in weights if name not in projection}, **biases, **vectors, **projection}


def stored_columns(matrix: Matrix, widths: Mapping[str, int]) -> int:
    """How many numbers a row of a matrix has: of the columns, those of one head.

    Raises:
        InputError: heads that do not divide the rows or columns.
    """
    if matrix.heads == 1:
        return widths[matrix.columns]  # whatever it is: torch refuses widths that are no integers in its own words
    for axis in [matrix.columns, *(block.axis for block in matrix.blocks)]:
        if widths[axis] % matrix.heads:
            raise InputError(
                "HEADS",
                f"{matrix.heads} heads cannot share the {widths[axis]} {COUNTED.get(axis, f'units of {axis}')} of "
                f"{matrix.name} evenly",
                fix=f"choose a multiple of {matrix.heads}, or other heads",
            )
    return widths[matrix.columns] // matrix.heads


def gain_of(name: str) -> str:
    """The vector that a normalised matrix or state is multiplied by."""
    return f"norm_{name}"


def bias_of(name: str) -> str:
    """The bias of a matrix, even with a norm in between, or of a normalised state."""
    return f"bias_{name}"


def blocks_of(graph: Graph, name: str) -> list[Block]:
    """The blocks of a bias or of a vector, by its name; none if the cell has no such parameter."""
    biases = {bias_of(m.name): [block for block in m.blocks if block.bias] for m in graph.matrices if m.has_bias}
    return (biases | {vector.name: [*vector.blocks] for vector in graph.vectors}).get(name, [])


def step_attribute(name: str) -> str:
    """The name of a parameter on a module of one step, e.g. ``weight_U`` to ``weight_hh``."""
    kind, _, matrix = name.partition("_")
    return f"{kind}_{TORCH_NAMES.get(matrix, matrix)}" if kind in KINDS else name


def attribute(name: str, layer: int, *, reverse: bool) -> str:
    """The name of a parameter on a layer, e.g. ``weight_U`` to ``weight_hh_l0_reverse``."""
    return f"{step_attribute(name)}_l{layer}{'_reverse' if reverse else ''}"


def factor_of(name: str) -> str:
    """The matrix B of a matrix that is a product A B; A keeps the name."""
    return name + FACTOR


def factored(graph: Graph) -> list[str]:
    """The matrices that are products of two."""
    names = [matrix.name for matrix in graph.matrices]
    return [name for name in names if factor_of(name) in names]
