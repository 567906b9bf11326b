"""``learn_initial_state``: first states that are parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.cell import Graph, Mask
from tidegate.option.kind import Draws, Pass
from tidegate.passes import restart
from tidegate.passes.restart import INITIAL

if TYPE_CHECKING:
    from torch import Tensor


class LearnInitialState(Pass):
    name = "learn_initial_state"
    default = False
    doc = "Learns the states with which a sequence begins. They are zeros at first."
    doc_in_python = (
        "Without ``hx`` a sequence begins with the parameters ``initial_h_l0`` and so on, and ``reset=`` returns to "
        "them."
    )
    setting = bool
    order = 50

    def rewrite(self, graph: Graph, value: bool, *, training: bool, resets: bool) -> Graph:
        del value, training
        return restart(graph) if resets else graph

    def draw(self, mask: Mask, value: bool, draws: Draws) -> Tensor:
        del value
        return draws.resets(mask)

    def first_states(self, graph: Graph) -> tuple[str, ...]:
        return tuple(INITIAL.format(state.name) for state in graph.states)


OPTION = LearnInitialState()
