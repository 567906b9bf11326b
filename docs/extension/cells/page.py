"""The page of one cell."""

from __future__ import annotations

from tidegate.cell import Cell
from tidegate.emit import latex

from .counts import counts_table
from .language import Language
from .markdown import fence, page_of, section
from .parameter import parameter_table
from .state import conventions, group, states_table


def cell_page(name: str, cell: type[Cell], say: Language) -> str:
    """All of a cell, section by section."""
    graph = cell.graph
    return page_of(
        f"# {cell.name}",
        section(say("Equations"), f"$$\n{latex.align(graph)}\n$$"),
        section(say("Diagram"), fence("{diagram}", argument=name)),
        section(say("State"), group(graph, say), states_table(graph, say), " ".join(conventions(graph, say))),
        section(say("Parameters"), parameter_table(graph, say), counts_table([cell], say)),
    )
