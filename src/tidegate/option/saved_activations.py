"""``saved_activations``: what the backward pass reads, in fewer bits."""

from __future__ import annotations

from typing import Literal

from tidegate.option.kind import Storage


class SavedActivations(Storage):
    name = "saved_activations"
    default = None
    doc = (
        "Keeps what the backward pass reads of gates and states as 'bfloat16', which halves that memory. Outputs are "
        "not rounded; gradients change by about 0.3 %. Runs in float64 and what runs eagerly keep their own type."
    )
    setting = Literal["bfloat16"] | None
    choices = ("bfloat16",)
    example = "'bfloat16'"
    source = "Jain et al. 2018, Gist: Efficient Data Encoding for Deep Neural Network Training, ISCA"
    order = 100

    def saved(self, value: str) -> str:
        return value


OPTION = SavedActivations()
