"""``zoneout``: units that keep their old state at random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.cell import Graph, Mask
from tidegate.option.kind import ByState, Draws, Pass, each_state
from tidegate.passes import zoneout
from tidegate.passes.zoneout import MASK

if TYPE_CHECKING:
    from torch import Tensor


class Zoneout(Pass):
    name = "zoneout"
    default = 0.0
    doc = (
        "Probability that a unit keeps the old value of a state in a step, drawn at every step. Evaluation uses the "
        "expectation."
    )
    doc_in_python = "A mapping from states to probabilities applies to only those."
    setting = float
    low, high = 0, 1
    example = "0.05 or {'h': 0.05, 'c': 0.5}"
    source = "Krueger et al. 2017, Zoneout, arXiv 1606.01305"
    order = 30
    by_state = True
    random = True

    def rewrite(self, graph: Graph, value: float | ByState, *, training: bool, resets: bool) -> Graph:
        del resets
        return zoneout(graph, each_state(value, graph), drawn=training)

    def draw(self, mask: Mask, value: float | ByState, draws: Draws) -> Tensor:
        state = mask.name.removeprefix(MASK.format(""))
        return draws.bernoulli(mask, dict(value)[state] if isinstance(value, tuple) else value)


OPTION = Zoneout()
