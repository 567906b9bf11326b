"""``chrono``: gate biases for dependencies of known length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tidegate.cell import Graph
from tidegate.option.kind import Initialisation
from tidegate.option.parameter import gate_biases, keeping_gate, set_sum

if TYPE_CHECKING:
    from torch import Tensor


class Chrono(Initialisation):
    name = "chrono"
    default = None
    doc = (
        "Longest dependency in steps, T. The bias of the gate that keeps the state begins as log(u), u drawn from "
        "U[1, T-1]; that of an input gate next to a forget gate begins as -log(u)."
    )
    setting = float | None
    low = 2
    example = "100"
    source = "Tallec & Ollivier 2018, Can Recurrent Neural Networks Warp Time?, arXiv 1804.11188"
    order = 80
    excludes = ("forget_bias",)

    def check(self, value: float, graph: Graph) -> None:  # noqa: ARG002  any value needs the gate
        keeping_gate(graph, self.name)

    def initialise(
        self, graph: Graph, widths: Mapping[str, int], parameters: Mapping[str, Tensor], value: float
    ) -> None:
        gate, sign = keeping_gate(graph, self.name)
        biases = gate_biases(graph, widths, parameters, gate)
        keeps = biases[0].uniform_(1, value - 1).log_().mul_(sign).clone()
        set_sum(biases, keeps)
        if gate == "f":
            set_sum(gate_biases(graph, widths, parameters, "i"), -keeps)


OPTION = Chrono()
