"""``weight_dropout``: entries of the recurrent matrices that a whole call does without (DropConnect)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.cell import Graph
from tidegate.option.kind import Draws, ParameterTransform
from tidegate.option.parameter import recurrent_matrices

if TYPE_CHECKING:
    from torch import Tensor


class WeightDropout(ParameterTransform):
    name = "weight_dropout"
    default = 0.0
    doc = (
        "Probability that an entry of the recurrent matrices is zero in a forward call, in training only. "
        "All steps and sequences of the call share one mask; kept entries are scaled by 1/(1-p)."
    )
    setting = float
    low, high = 0, 1
    example = "0.5"
    source = "Merity, Keskar & Socher 2017, Regularizing and Optimizing LSTM Language Models, arXiv 1708.02182"
    order = 45
    on_recurrent_matrices = True

    def transform(self, graph: Graph, parameters: dict[str, Tensor], value: float, draws: Draws) -> dict[str, Tensor]:
        matrices = {name: parameters[name] for name in (f"weight_{matrix}" for matrix in recurrent_matrices(graph))}
        return {name: weight * draws.weight_dropout(weight, value) for name, weight in matrices.items()}


OPTION = WeightDropout()
