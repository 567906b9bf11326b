"""A table of what cells cost: as a formula, and at one size."""

from __future__ import annotations

from collections.abc import Sequence

from tidegate.cell import Cell

from .formula import EXAMPLE, MEASURES, latex, polynomial, widths
from .language import Language
from .markdown import table


def costs(cell: type[Cell]) -> list[str]:
    """For each measure the formula and the number at the size of all examples."""
    entries = []
    for count in MEASURES.values():
        entries += [f"${latex(polynomial(cell.graph, count))}$", f"{count(cell.graph, widths(cell.graph)):,}"]
    return entries


def counts_table(cells: Sequence[type[Cell]], say: Language) -> str:
    """Parameters and operations of one step on one sequence, a row for each cell."""
    at = say("at {size}", size=EXAMPLE)
    head = [say("cell"), say("parameters"), at, say("operations a step"), at]
    return table(head, [[cell.name, *costs(cell)] for cell in cells], align="lrrrr")
