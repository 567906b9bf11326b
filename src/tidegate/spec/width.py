"""How wide the axes of a cell are in a layer of given sizes."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.errors import InputError
from tidegate.spec.graph import Graph


def axis_widths(
    graph: Graph, input_size: int, hidden_size: int, own: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The width of every axis but a projected output's.

    Args:
        graph: the cell.
        input_size: of I, or of H where the cell's input is as wide as its units.
        hidden_size: of H.
        own: of axes of the cell's own; as wide as H unless given.

    Raises:
        InputError: no such axis, a width that is no positive integer, or an input that is not as wide as it must be.
    """
    own = own or {}
    for axis, width in own.items():
        if axis not in graph.own_axes:
            has = f"it has {' '.join(graph.own_axes)}" if graph.own_axes else "all of it is as wide as its units"
            size = {"I": "input_size", "H": "hidden_size", "P": "proj_size"}.get(axis, "")
            raise InputError(
                "WIDTHS", f"{graph.name} has no axis {axis!r:.40} of its own: {has}", fix=f"pass {size or 'no other'}"
            )
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise InputError("WIDTHS", f"the width of {axis} is {width!r:.40}", fix="pass an integer of at least 1")
    if graph.input_axis == "H" and input_size != hidden_size:
        raise InputError(
            "INPUT_WIDTH",
            f"{graph.name} adds its input to values of its units, so it takes {hidden_size} features, not {input_size}",
            fix=f"put torch.nn.Linear({input_size}, {hidden_size}) in front, or make both sizes equal",
        )
    return {"I": input_size, "H": hidden_size} | {axis: own.get(axis, hidden_size) for axis in graph.own_axes}
