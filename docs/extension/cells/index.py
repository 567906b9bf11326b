"""The page of all cells."""

from __future__ import annotations

from tidegate.cell import Cell
from tidegate.cell.measure import flops, parameters
from tidegate.cli.listing import kind_of
from tidegate.zoo import CELLS

from .formula import widths
from .language import Language
from .markdown import fence, file_of, link, page_of, section, table
from .state import GROUPS


def index_page(say: Language) -> str:
    """All cells by what they keep from step to step."""
    listed = "\n".join([":hidden:", "", *(file_of(name) for name in CELLS)])
    return page_of(
        f"# {say('Cells')}",
        *(section(say(group), _of_group(group, say)) for group in GROUPS),
        fence("{toctree}", listed),
    )


def _of_group(group: str, say: Language) -> str:
    head = [say("cell"), say("gates"), say("parameters"), say("operations a step")]
    rows = [_row(name, cell) for name, cell in CELLS.items() if kind_of(cell.graph) == group]
    return table(head, rows, align="llrr")


def _row(name: str, cell: type[Cell]) -> list[str]:
    graph, wide = cell.graph, widths(cell.graph)
    gates = " ".join(gate for gate, _ in graph.gates)
    return [link(cell.name, name), f"`{gates}`", f"{parameters(graph, wide):,}", f"{flops(graph, wide):,}"]
