"""The page of one cell."""

from __future__ import annotations

import inspect

from tidegate.cell import Cell
from tidegate.emit import latex
from tidegate.zoo import CELLS

from .counts import count_table
from .example import steps_table
from .language import Language
from .library import library_table, onnx_sentence
from .markdown import fence, link, page_of, section
from .parameter import parameter_table
from .reference import read_on, relatives, source_lines
from .speed import speed
from .state import conventions, group, states_table
from .usage import options, plain_choice, usage


def cell_page(name: str, cell: type[Cell], say: Language) -> str:
    """All of a cell, section by section.

    Args:
        name: in the zoo.
        cell: its definition.
        say: the language of the page.
    """
    graph = cell.graph
    return page_of(
        f"# {cell.name}",
        *description(name, cell, say),
        source_lines(cell, say),
        section(say("Equations"), f"$$\n{latex.align(graph)}\n$$"),
        section(say("Diagram"), fence("{diagram}", argument=name)),
        section(say("State"), group(graph, say), states_table(graph, say), say.joined(conventions(graph, say))),
        section(say("Parameters"), parameter_table(graph, say), count_table(cell, say)),
        section(say("Four steps"), steps_table(cell, say)),
        section(say("A pulse"), fence("{pulse}", argument=name)),
        section(say("Other libraries"), library_table(cell, say), onnx_sentence(graph, say)),
        section(say("Speed"), speed(name, say)),
        section(say("Use"), usage(name, cell)),
        section(say("Options"), options(name, cell, say)),
        section(say("Read on"), relatives(name, say), read_on(name, say)),
    )


def description(name: str, cell: type[Cell], say: Language) -> list[str]:
    """The paragraphs of the definition, and which variant it is."""
    paragraphs = inspect.cleandoc(cell.__doc__ or "").replace("``", "`").split("\n\n")
    said = [say(" ".join(text.split())) for text in paragraphs]
    first = name.partition("/")[0]
    if first == name:
        return said
    plain, choice = link(CELLS[first].name, first), f"`{plain_choice(cell)}`"
    return [*said, say("This is {plain} with {choice}.", plain=plain, choice=choice)]
