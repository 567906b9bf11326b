"""``heads``: groups of units whose recurrent matrices see their own group only."""

from __future__ import annotations

from tidegate.cell import Graph
from tidegate.option.kind import Pass
from tidegate.option.parameter import recurrent_matrices
from tidegate.passes import split_into_heads


class Heads(Pass):
    name = "heads"
    default = 1
    doc = (
        "Groups of units that see only their own states: recurrent matrices are block diagonal, with 1/heads of the "
        "weights and of the work. Heads must divide the units. The input reaches all of them, and what is projected "
        "mixes them."
    )
    setting = int
    low, high = 1, 1 << 16
    example = "4"
    source = "Beck et al. 2024, xLSTM: Extended Long Short-Term Memory, arXiv 2405.04517"
    order = 7
    reshapes = written_out = True
    on_recurrent_matrices = True
    takes_mirrored = False
    whole = True

    def define(self, graph: Graph, value: int) -> Graph:
        return split_into_heads(graph, value, recurrent_matrices(graph))


OPTION = Heads()
