"""Names and shapes of a layer's parameters: torch.nn's where it has any."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.passes.project import MATRIX as PROJECTION
from tidegate.spec import Graph

TORCH_NAMES = {"W": "ih", "U": "hh"}


def parameter_shapes(graph: Graph, widths: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Shapes by the names that the runtime knows, in the order in which torch.nn registers them.

    Weights, then biases, then the vectors of the cell, then the projection.
    """
    weights, biases = {}, {}
    for matrix in graph.matrices:
        rows = [widths[block.axis] for block in matrix.blocks]
        weights[f"weight_{matrix.name}"] = (sum(rows), widths[matrix.columns])
        if matrix.has_bias:
            biased = [r for r, block in zip(rows, matrix.blocks, strict=True) if block.bias]
            biases[f"bias_{matrix.name}"] = (sum(biased),)
    projection = {name: weights.pop(name) for name in (f"weight_{PROJECTION}",) if name in weights}
    return {**weights, **biases, **{name: (widths["H"],) for name in graph.vectors}, **projection}


def attribute(name: str, layer: int, *, reverse: bool) -> str:
    """The name of a parameter on the module, e.g. ``weight_U`` to ``weight_hh_l0_reverse``."""
    kind, _, matrix = name.partition("_")
    if kind in ("weight", "bias"):
        name = f"{kind}_{TORCH_NAMES.get(matrix, matrix)}"
    return f"{name}_l{layer}{'_reverse' if reverse else ''}"
