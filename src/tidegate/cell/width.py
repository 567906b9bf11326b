"""How wide the axes of a cell are in a layer of given sizes."""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.cell.graph import Graph
from tidegate.errors import InputError


def axis_widths(
    graph: Graph, input_size: int, hidden_size: int, own: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The width of every axis except a projected output's.

    Args:
        graph: the cell.
        input_size: of I, or of H where the cell's input is as wide as its units.
        hidden_size: of H.
        own: of the cell's further axes; as wide as H unless given.

    Raises:
        InputError: unknown axes in ``own``, a width that is not a positive integer, or an input of the wrong width.
    """
    own = {} if own is None else own
    _check_own(graph, own)
    if graph.input_axis == "H" and input_size != hidden_size:
        raise InputError(
            "INPUT_WIDTH",
            f"{graph.name} takes as many features as it has units, since equations mix both: expected {hidden_size}, "
            f"got {input_size}",
            fix=f"put torch.nn.Linear({input_size}, {hidden_size}) in front, or make both sizes equal",
        )
    return {"I": input_size, "H": hidden_size} | {axis: own.get(axis, hidden_size) for axis in graph.own_axes}


def _check_own(graph: Graph, own: object) -> None:
    has = " ".join(graph.own_axes)
    fix = f"pass a mapping from some of {has} to integers" if has else "leave out widths: all is as wide as the units"
    if not isinstance(own, Mapping):
        raise InputError("WIDTHS", f"widths is {own!r:.60}, expected a mapping from axes to integers", fix=fix)
    for axis, width in own.items():
        if axis not in graph.own_axes:
            raise InputError("WIDTHS", f"{graph.name} has no axis {axis!r:.40} of its own", fix=fix)
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise InputError("WIDTHS", f"the width of {axis} is {width!r:.40}, expected at least 1", fix=fix)
