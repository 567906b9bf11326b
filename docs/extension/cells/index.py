"""The page of all cells."""

from __future__ import annotations

from pathlib import Path

from tidegate.cell import Cell
from tidegate.cell.measure import flops, parameters
from tidegate.cli.listing import kind_of
from tidegate.zoo import CELLS

from .example import shown_code
from .formula import EXAMPLE, widths
from .language import Language
from .markdown import fence, file_of, link, page_of, section, table
from .reference import short, year
from .state import GROUPS

GUIDE = Path(__file__).with_name("guide.md")


def index_page(say: Language) -> str:
    """All cells by what they keep from step to step, and how their pages are read."""
    families = sum("/" not in name for name in CELLS)
    introduction, parts, *guide = GUIDE.read_text(encoding="utf-8").strip().split("\n\n")
    listed = "\n".join([":hidden:", "", *(file_of(name) for name in CELLS)])
    return page_of(
        f"# {say('Cells')}",
        say(introduction, families=families, count=len(CELLS)),
        say(parts, size=EXAMPLE),
        *(section(say(group), _of_group(group, say)) for group in GROUPS),
        "(how-to-read-a-page)=",
        section(say("How to read a page"), *map(say, guide)),
        "(the-four-steps)=",
        section(say("The four steps"), fence("python", _code())),
        fence("{toctree}", listed),
    )


def _of_group(group: str, say: Language) -> str:
    head = [say("cell"), say("gates"), say("parameters"), say("operations a step"), say("year"), say("source")]
    rows = [_row(name, cell, say) for name, cell in CELLS.items() if kind_of(cell.graph) == group]
    return table(head, rows, align="llrrll")


def _row(name: str, cell: type[Cell], say: Language) -> list[str]:
    graph, wide = cell.graph, widths(cell.graph)
    gates = " ".join(gate for gate, _ in graph.gates)
    counts = [f"{count(graph, wide):,}" for count in (parameters, flops)]
    return [link(cell.name, name), f"`{gates}`", *counts, year(cell.source) or "-", short(cell, say)]


def _code() -> str:
    show = 'for name, value in example("lstm").items():\n    print(f"{name:5} {value.reshape(4, -1).tolist()}")'
    return f"import tidegate as tg\nimport torch\n\n\n{shown_code()}\n\n{show}"
