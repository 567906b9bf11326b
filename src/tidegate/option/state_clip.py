"""``state_clip``: states within bounds."""

from __future__ import annotations

from tidegate.cell import Graph
from tidegate.option.kind import ByState, Pass, each_state
from tidegate.passes import clip


class StateClip(Pass):
    name = "state_clip"
    default = None
    doc = (
        "Clips each new state to [-s, s]. What a step computes from a new state, such as h from c, sees the clipped "
        "value."
    )
    doc_in_python = "A mapping from states to bounds clips only those."
    setting = float | None
    low = 1e-9
    example = "3.0 or {'c': 3.0}"
    order = 20
    by_state = True

    def rewrite(self, graph: Graph, value: float | ByState, *, training: bool, resets: bool) -> Graph:
        del training, resets  # states are always clipped
        return clip(graph, each_state(value, graph))


OPTION = StateClip()
