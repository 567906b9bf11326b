"""``input_dropout``: features of the input that the first layer does not see for a whole sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tidegate.option.kind import Draws, InputTransform

if TYPE_CHECKING:
    from torch import Tensor


class InputDropout(InputTransform):
    name = "input_dropout"
    default = 0.0
    doc = (
        "Probability that a feature of the input is zero for the first layer, in training only. "
        "All steps of a sequence share one mask; kept features are scaled by 1/(1-p)."
    )
    setting = float
    low, high = 0, 1
    example = "0.25"
    source = (
        "Gal & Ghahramani 2016, A Theoretically Grounded Application of Dropout in Recurrent Neural Networks, "
        "arXiv 1512.05287"
    )
    order = 5

    def transform(self, x: Tensor, value: float, draws: Draws) -> Tensor:
        return x * draws.input_dropout(x, value)


OPTION = InputDropout()
