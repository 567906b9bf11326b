"""How estimators name settings and cells."""

from __future__ import annotations

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.zoo import graph_of


def choice(name: str, value: object) -> str:
    """A value after "instead of"; on the command line true and false are options of their own."""
    return f"{name}={value}" if isinstance(value, bool) else repr(value)


def other_cell(wanted: Graph, saved: Graph) -> str:
    """How a saved cell differs from the one that is asked for."""
    if wanted.name == saved.name:
        return f"another {saved.name} cell"
    return f"cell={saved.name!r} instead of {wanted.name!r}"


def shortest(name: str, graph: Graph) -> str | Graph:
    """The name, if it is that of the same cell in the zoo; otherwise the graph, which needs no file of the user's."""
    return name if name.strip().lower() in zoo.CELLS and graph_of(name) == graph else graph
