"""Our own side: which row of the table a layer is, how its arrays hold it, reading and writing them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.cell.parameter import attribute, parameter_shapes
from tidegate.convert.layout import Array, Arrays, Layout, Stored, Widths, each
from tidegate.convert.table import ROWS
from tidegate.errors import InputError
from tidegate.nn import Recurrent
from tidegate.passes import project

PROJECTED = ("lstm", "peepholelstm")  # rows of the table whose output may have a width of its own
BIAS_OF = {"W": "b", "U": "d"}


class Own:
    """A layer as the table sees it.

    Attributes:
        layer: the layer.
        row: its row in the table, or "" for a cell that no other framework has.
        layout: how its arrays hold the cell, named as in ``parameter_shapes``.

    Raises:
        InputError: it is not a layer of ours.
    """

    def __init__(self, layer: Any) -> None:
        if not isinstance(layer, Recurrent):
            raise InputError(
                "CONVERT_LAYER",
                f"expected a layer of tidegate.nn, got {type(layer).__name__}",
                fix="tidegate.accelerate makes torch's layers Tidegate's; take a layer for a single cell",
            )
        self.layer = layer
        self.row, negated = _known().get(layer.graph.hash, ("", ""))
        self.layout = _layout(layer.graph, negated)

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.layer.graph.name}{'' if self.layer.bias else ' without bias'}"

    @property
    def directions(self) -> tuple[bool, ...]:
        """Whether each pass over the input is the reverse one."""
        return (False, True) if self.layer.bidirectional else (False,)

    def passes(self) -> Iterator[tuple[int, bool, Widths]]:
        """Layer, direction and widths of each pass, layers first."""
        for layer in range(self.layer.num_layers):
            for reverse in self.directions:
                yield layer, reverse, self.layer.cells[layer].widths

    def read(self, layer: int, *, reverse: bool) -> Arrays:
        names = parameter_shapes(self.layer.graph, self.layer.cells[layer].widths)
        return {name: as_array(getattr(self.layer, attribute(name, layer, reverse=reverse))) for name in names}

    def write(self, arrays: dict[tuple[int, bool], Arrays]) -> None:
        """All arrays of all passes, rounded to the layer's dtype."""
        new = {
            attribute(name, layer, reverse=reverse): torch.from_numpy(np.ascontiguousarray(value))
            for (layer, reverse), of_pass in arrays.items()
            for name, value in of_pass.items()
        }
        held = self.layer.state_dict()
        if not new.keys() <= held.keys():
            raise InputError(
                "CONVERT_LAYER",
                f"the layer does not hold {', '.join(sorted(new.keys() - held.keys()))} itself, as when parametrized",
                fix="load into a plain layer first, then parametrize it",
            )
        self.layer.load_state_dict({**held, **new})


def as_array(value: Any) -> Array:
    """What any framework holds numbers in, as NumPy's; bfloat16, which NumPy does not have, as float32."""
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu()
        return np.asarray((plain.float() if plain.dtype is torch.bfloat16 else plain).numpy())
    return np.asarray(value)


@cache
def _known() -> dict[str, tuple[str, str]]:
    """Row and negated gates by the hash of the graph, with and without bias and projection."""
    known = {}
    for name, (row, negated) in ROWS.items():
        whole = zoo.find(name).graph
        for graph in (whole, whole.without_bias()):
            known[graph.hash] = (row, negated)
            if row in PROJECTED:
                known[project(graph).hash] = (f"{row}/projected", negated)
    return known


def _layout(graph: Graph, negated: str) -> Layout:
    """One bias of a cell stands for the sum of two."""
    arrays = []
    biased = [matrix.name for matrix in graph.matrices if matrix.has_bias]
    for matrix in graph.matrices:
        gates = " ".join(f"-{block.name}" if block.name in negated else block.name for block in matrix.blocks)
        arrays.append(Stored(f"weight_{matrix.name}", each(matrix.name, gates)))
        if matrix.has_bias:
            source = BIAS_OF.get(matrix.name, "") if len(biased) > 1 else "b+d"
            arrays.append(Stored(f"bias_{matrix.name}", each(source, gates)))
    arrays += [Stored(v.name, each("p", v.name.removeprefix("p_"))) for v in graph.vectors]
    return Layout(graph.name, tuple(arrays))
