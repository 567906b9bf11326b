"""``recurrent_dropout``: units that the recurrent matrices do not see for a whole sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.cell import Graph, Mask
from tidegate.option.kind import Draws, Pass
from tidegate.passes import drop_recurrent

if TYPE_CHECKING:
    from torch import Tensor


class RecurrentDropout(Pass):
    name = "recurrent_dropout"
    default = 0.0
    doc = (
        "Probability that a unit is dropped from what the recurrent matrices read, in training only. All steps of a "
        "sequence and all of these matrices share one mask; kept units are scaled by 1/(1-p)."
    )
    setting = float
    low, high = 0, 1
    example = "0.25"
    source = (
        "Gal & Ghahramani 2016, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, "
        "arXiv 1512.05287"
    )
    order = 40
    random = True
    on_recurrent_matrices = True

    def rewrite(self, graph: Graph, value: float, *, training: bool, resets: bool) -> Graph:
        del value, resets
        return drop_recurrent(graph) if training else graph

    def draw(self, mask: Mask, value: float, draws: Draws) -> Tensor:
        return draws.dropout(mask, value)


OPTION = RecurrentDropout()
