"""A table of what cells cost: as a formula, and at one size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from tidegate.cell import Cell

from .formula import EXAMPLE, MEASURES, latex, polynomial, widths
from .language import Language
from .markdown import table


def costs(cell: type[Cell]) -> list[tuple[str, str]]:
    """For each measure the formula, and the number at the size of all examples."""
    graph, wide = cell.graph, widths(cell.graph)
    return [(f"${latex(polynomial(graph, count))}$", f"{count(graph, wide):,}") for count in MEASURES.values()]


def counts_table(cells: Sequence[type[Cell]], say: Language) -> str:
    """Parameters and operations of one step on one sequence, a row for each cell."""
    at = say("at {size}", size=EXAMPLE)
    head = [say("cell"), say("parameters"), at, say("operations a step"), at]
    return table(head, [[cell.name, *chain.from_iterable(costs(cell))] for cell in cells], align="lrrrr")


def count_table(cell: type[Cell], say: Language) -> str:
    """The same of one cell, a row for each measure."""
    titles = say("parameters"), say("operations a step")
    head = ["", say("formula"), say("at {size} features and units", size=EXAMPLE)]
    return table(head, [[title, *cost] for title, cost in zip(titles, costs(cell), strict=True)], align="llr")
