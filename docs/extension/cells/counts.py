"""A table of what cells cost: as a formula, and at one size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from tidegate.cell import Cell

from .formula import EXAMPLE, MEASURES, latex, polynomial, widths
from .language import Language
from .markdown import table

SENTENCES = ("cell", "parameters", "operations a step", "at {size}")


def costs(cell: type[Cell]) -> list[tuple[str, str]]:
    """For each measure the formula, and the number at the size of all examples."""
    graph, wide = cell.graph, widths(cell.graph)
    return [(f"${latex(polynomial(graph, count))}$", f"{count(graph, wide):,}") for count in MEASURES.values()]


def counts_table(cells: Sequence[type[Cell]], say: Language) -> str:
    """Parameters and operations of one step on one sequence, a row for each cell."""
    cell, first, second, at = SENTENCES
    head = [say(cell), say(first), say(at, size=EXAMPLE), say(second), say(at, size=EXAMPLE)]
    return table(head, [[one.name, *chain.from_iterable(costs(one))] for one in cells], align="lrrrr")


def count_table(cell: type[Cell], say: Language) -> str:
    """The same of one cell, a row for each measure."""
    titles = map(say, SENTENCES[1:3])
    head = ["", say("formula"), say("at {size} features and units", size=EXAMPLE)]
    return table(head, [[title, *cost] for title, cost in zip(titles, costs(cell), strict=True)], align="llr")
