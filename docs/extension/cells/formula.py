"""What a cell costs as a formula in the widths of its axes, found from the counts themselves.

A count is a polynomial of second degree: a matrix has as many numbers as two axes together, a vector as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations

from tidegate.cell import Graph
from tidegate.cell.measure import flops, parameters
from tidegate.cell.width import axis_widths

Count = Callable[[Graph, Mapping[str, int]], int]
Polynomial = dict[str, int]  # coefficients by monomial, e.g. {"HI": 4, "HH": 4, "H": 8}
MEASURES: dict[str, Count] = {"parameters": parameters, "operations": flops}
EXAMPLE = 64  # features and units of the counts that pages show


def axes_of(graph: Graph) -> tuple[str, ...]:
    """The axes whose widths a layer may choose."""
    return ("H", *(() if graph.input_axis == "H" else ("I",)), *graph.own_axes)


def widths(graph: Graph, size: int = EXAMPLE) -> dict[str, int]:
    """All axes of this width."""
    return axis_widths(graph, size, size)


def polynomial(graph: Graph, count: Count) -> Polynomial:
    """The count of a cell by powers of its widths."""
    axes = axes_of(graph)

    def at(**own: int) -> int:
        return count(graph, {"I": own.get("H", 0), **dict.fromkeys(axes, 0), **own})

    found = {"": at()}
    for axis in axes:
        one, two = at(**{axis: 1}) - found[""], at(**{axis: 2}) - found[""]
        found[axis * 2] = (two - 2 * one) // 2
        found[axis] = one - found[axis * 2]
    for one, other in combinations(axes, 2):
        alone = at(**{one: 1}) + at(**{other: 1}) - found[""]
        found[one + other] = at(**{one: 1, other: 1}) - alone
    return {monomial: factor for monomial, factor in found.items() if factor}


def latex(found: Polynomial) -> str:
    """The polynomial as it is written, the highest powers first."""
    order = sorted(found, key=lambda monomial: (-len(monomial), monomial != monomial[:1] * len(monomial), monomial))
    terms = [_term(found[monomial], monomial) for monomial in order]
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _term(factor: int, monomial: str) -> str:
    square = len(monomial) == 2 and monomial[0] == monomial[1]
    letters = f"{monomial[0]}^2" if square else " ".join(monomial)
    return letters if factor == 1 and letters else f"{factor} {letters}".strip()
