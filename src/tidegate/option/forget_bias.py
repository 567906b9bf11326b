"""``forget_bias``: the initial bias of the gate that keeps the state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.cell import Graph
from tidegate.option.kind import Initialisation
from tidegate.option.parameter import gate_biases, keeping_gate, set_sum

if TYPE_CHECKING:
    from torch import Tensor


class ForgetBias(Initialisation):
    name = "forget_bias"
    default = None
    doc = (
        "Initial bias of the gate that keeps the state: the forget gate, or the update gate in a cell without one. "
        "Where an open gate writes, the bias is the negative."
    )
    setting = float | None
    example = "1.0"
    order = 70

    def check(self, value: float, graph: Graph) -> None:  # noqa: ARG002  any value needs the gate
        keeping_gate(graph, self.name)

    def initialise(
        self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], value: float
    ) -> None:
        gate, sign = keeping_gate(graph, self.name)
        set_sum(gate_biases(graph, widths, parameters, gate), sign * value)


OPTION = ForgetBias()
