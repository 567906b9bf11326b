"""``spectral``: recurrent matrices within a spectral norm."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tidegate.cell import Graph
from tidegate.cell.parameter import factor_of, factored
from tidegate.option.kind import NormBound
from tidegate.option.parameter import recurrent_matrices


class Spectral(NormBound):
    name = "spectral"
    default = None
    doc = (
        "Scales the block of each gate in the recurrent matrices down to at most this spectral norm, in training and "
        "in evaluation; with heads, the block of each head. With a rank, each factor gets the root of it."
    )
    setting = float | None
    low = 1e-9
    example = "1.0"
    source = "Kanai, Fujiwara & Iwamura 2017, Preventing Gradient Explosions in Gated Recurrent Units, NIPS"
    order = 65
    on_recurrent_matrices = True
    takes_mirrored = False

    def bounds(self, graph: Graph, widths: Mapping[str, int], value: float) -> dict[str, tuple[tuple[int, ...], float]]:
        halves = {half for name in factored(graph) for half in (name, factor_of(name))}
        found = {}
        for name in recurrent_matrices(graph):
            matrix = graph.matrix(name)
            rows = [widths[block.axis] // matrix.heads for block in matrix.blocks for _ in range(matrix.heads)]
            found[f"weight_{name}"] = tuple(rows), math.sqrt(value) if name in halves else value
        return found


OPTION = Spectral()
