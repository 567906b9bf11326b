"""``orthogonal``: recurrent matrices that begin orthogonal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.cell import Graph
from tidegate.option.kind import Initialisation
from tidegate.option.parameter import recurrent_matrices

if TYPE_CHECKING:
    from torch import Tensor


class Orthogonal(Initialisation):
    name = "orthogonal"
    default = False
    doc = (
        "Initialises the block of each gate in the recurrent matrices as an orthogonal matrix of its own, with heads "
        "one for each of them."
    )
    setting = bool
    order = 60
    on_recurrent_matrices = True
    takes_mirrored = False

    def initialise(
        self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], value: bool
    ) -> None:
        from torch.nn.init import orthogonal_  # the table of options is read before torch is loaded

        del value
        for name in recurrent_matrices(graph):
            matrix = graph.matrix(name)
            rows = [widths[block.axis] // matrix.heads for block in matrix.blocks for _ in range(matrix.heads)]
            for block in parameters[f"weight_{name}"].split(rows):
                orthogonal_(block)


OPTION = Orthogonal()
