"""``layer_norm``: layer normalisation of the products of a cell."""

from __future__ import annotations

from typing import Any, get_args

from tidegate.cell import Graph
from tidegate.errors import InputError
from tidegate.option.kind import Pass
from tidegate.passes import Over, normalise


class LayerNorm(Pass):
    name = "layer_norm"
    default = False
    doc = (
        "Layer normalisation of each matrix product of the cell, over all gates together, and of the cell state of an "
        "LSTM where the output reads it."
    )
    doc_in_python = "``'each'`` normalises gate by gate. ``tidegate.passes.normalise`` has the equations."
    setting = bool
    source = "Ba, Kiros & Hinton 2016, Layer Normalization, arXiv 1607.06450"
    order = 10
    annotation = "bool | str"

    def read(self, value: Any) -> bool | Over:
        if isinstance(value, bool):
            return "all" if value else False
        for over in get_args(Over):
            if value == over:
                return over  # type: ignore[no-any-return]
        raise InputError(
            "OPTION",
            f"layer_norm must be True, False, 'all' or 'each', got {value!r:.40}",
            fix="pass True or 'all' to normalise the blocks of a matrix together, 'each' for every block by itself",
        )

    def define(self, graph: Graph, value: Over) -> Graph:
        return normalise(graph, value)


OPTION = LayerNorm()
