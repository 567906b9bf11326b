"""How estimators name settings and cells."""

from __future__ import annotations

from tidegate import zoo
from tidegate.cell import Graph
from tidegate.train.setting import Training, names
from tidegate.zoo import graph_of


def choice(name: str, value: object) -> str:
    """A value after "instead of"; on the command line true and false are options of their own."""
    return f"{name}={value}" if isinstance(value, bool) else repr(value)


def other_settings(wanted: Training, saved: Training) -> list[str]:
    """How saved settings differ from those that are asked for, the cell aside."""
    return [
        f"{name}={getattr(saved, name)!r} instead of {choice(name, getattr(wanted, name))}"
        for name in names(type(wanted))
        if name != "cell" and getattr(wanted, name) != getattr(saved, name)
    ]


def other_cell(wanted: Graph, saved: Graph) -> list[str]:
    """How a saved cell differs from the one that is asked for, if it does."""
    if wanted == saved:
        return []
    same = wanted.name == saved.name
    return [f"another {saved.name} cell" if same else f"cell={saved.name!r} instead of {wanted.name!r}"]


def shortest(name: str, graph: Graph) -> str | Graph:
    """The name, if it is that of the same cell in the zoo; otherwise the graph, which needs no file of the user's."""
    return name if name.strip().lower() in zoo.CELLS and graph_of(name) == graph else graph
