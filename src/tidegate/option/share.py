"""``share``: one set of parameters for all layers, or for both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tidegate.errors import InputError
from tidegate.option.kind import Tie


class Share(Tie):
    name = "share"
    default = None
    doc = (
        "One set of parameters: 'layers' gives all layers those of the first, 'directions' the backward direction "
        "those of the forward one. They are one Parameter each, counted and saved once; learned initial states are "
        "not shared."
    )
    setting = Literal["layers", "directions"] | None
    choices = ("layers", "directions")
    example = "'layers'"
    source = "Dehghani et al. 2019, Universal Transformers, arXiv 1807.03819; Lan et al. 2020, ALBERT, arXiv 1909.11942"
    order = 90

    def check_tie(self, value: str, inputs: Sequence[int], *, bidirectional: bool) -> None:
        if value == "directions" and not bidirectional:
            raise InputError(
                "SHARE", "share='directions' of a layer in one direction", fix="pass bidirectional=True, or drop share="
            )
        if value == "layers" and len(inputs) == 1:
            raise InputError(
                "SHARE", "share='layers' of a single layer", fix="pass num_layers=2 or more, or drop share="
            )
        if value == "layers" and inputs[0] != inputs[1]:
            raise InputError(
                "SHARE",
                f"share='layers', but the first layer reads {inputs[0]} features and the others {inputs[1]}",
                fix=f"put torch.nn.Linear({inputs[0]}, {inputs[1]}) in front, or choose hidden_size so that both agree",
            )

    def owner(self, value: str, layer: int, *, reverse: bool) -> tuple[int, bool]:
        return (0, reverse) if value == "layers" else (layer, False)


OPTION = Share()
