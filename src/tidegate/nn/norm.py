"""The option ``layer_norm`` of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import get_args

from tidegate.cell import Graph
from tidegate.cell.parameter import attribute
from tidegate.errors import InputError
from tidegate.passes import Over

NEUTRAL = {"norm": 1.0, "bias": 0.0}  # where the gain and the bias behind a norm begin


def checked(layer_norm: object) -> Over | None:
    """What a caller asks to be normalised together; None for nothing.

    Raises:
        InputError: it is no such choice.
    """
    if isinstance(layer_norm, bool):
        return "all" if layer_norm else None
    for over in get_args(Over):
        if layer_norm == over:
            return over  # type: ignore[no-any-return]
    raise InputError(
        "LAYER_NORM",
        f"layer_norm is {layer_norm!r:.40}",
        fix="pass False, True or 'all' for the blocks of a matrix together, 'each' for every block by itself",
    )


def beginnings(graph: Graph, passes: Sequence[tuple[int, bool]]) -> Iterator[tuple[str, float]]:
    """What a norm adds to a layer of a normalised graph: pairs of an attribute and the number it begins with."""
    for vector in graph.vectors:
        kind = vector.name.partition("_")[0]
        if kind in NEUTRAL:
            yield from ((attribute(vector.name, layer, reverse=back), NEUTRAL[kind]) for layer, back in passes)
