"""``rank``: recurrent matrices of low rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.cell import Graph
from tidegate.cell.parameter import factor_of, factored
from tidegate.errors import InputError
from tidegate.option.kind import Pass
from tidegate.passes import factor

if TYPE_CHECKING:
    from torch import Tensor


class Rank(Pass):
    name = "rank"
    default = None
    doc = (
        "Makes each recurrent matrix a product U = A B of this rank: weight_hh is A, weight_U_rank is B. "
        "They begin so that the entries of A B have the variance that those of U would have."
    )
    setting = int | None
    low = 1
    whole = True
    example = "32"
    source = "Sak, Senior & Beaufays 2014, arXiv 1402.1128; Kuchaiev & Ginsburg 2017, arXiv 1703.10722"
    order = 15
    on_recurrent_matrices = True
    takes_mirrored = False
    reshapes = True
    excludes = ("heads",)

    def define(self, graph: Graph, value: int) -> Graph:
        del value  # the width of an axis, which a graph does not hold
        return factor(graph)

    def widths(self, value: int) -> dict[str, int]:
        return {"R": value}

    def check_widths(self, graph: Graph, widths: Mapping[str, int], value: int) -> None:
        for name in factored(graph):
            columns = widths[graph.matrix(factor_of(name)).columns]
            if value > columns:
                raise InputError(
                    "RANK",
                    f"rank={value}, but {name} of {graph.name} has {columns} columns, and no higher rank",
                    fix=f"pass at most {columns}; below {columns // 2 or 1} it saves work",
                )

    def initialise(self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], value: int) -> None:
        bound = (3 / (widths["H"] * value)) ** 0.25  # r (bound**2 / 3)**2 = 1 / (3 H), the variance in U
        for name in factored(graph):
            parameters[f"weight_{name}"].uniform_(-bound, bound)
            parameters[f"weight_{factor_of(name)}"].uniform_(-bound, bound)


OPTION = Rank()
