"""``semi_tied``: one matrix for all gates."""

from __future__ import annotations

from tidegate.cell import Graph
from tidegate.option.kind import Pass
from tidegate.passes import tie_gates


class SemiTied(Pass):
    name = "semi_tied"
    default = False
    doc = (
        "Lets all gates share one block of W and one of U: tied_i * W(x) + b_i + tied_i * U(h) for each gate i, with a "
        "vector tied_i that begins at 1."
    )
    setting = bool
    source = "Zhang & Woodland 2018, Semi-tied Units for Efficient Gating, arXiv 1806.06513"
    order = 6
    reshapes = True

    def define(self, graph: Graph, value: bool) -> Graph:
        del value
        return tie_gates(graph)


OPTION = SemiTied()
