"""Tables of generated pages, made as nodes: what stands in a cell is text, never markup, but for code and links."""

import re
from collections.abc import Iterable, Sequence

from docutils import nodes

# code, options (two hyphens of a text would become a dash), and links
CODE = re.compile(r"``(.+?)``|(?<![\w-])(--[a-z][\w-]*)|\[([\w. ]+)\]\((\S+)\)")


def words(text: str) -> list[nodes.Node]:
    """A text whose code is set as such."""
    found, end = [], 0
    for code in CODE.finditer(text):
        literal, option, label, target = code.groups()
        link = nodes.reference("", "", nodes.literal("", label), refuri=target) if label else None
        found += [nodes.Text(text[end : code.start()]), link or nodes.literal("", literal or option)]
        end = code.end()
    return [node for node in (*found, nodes.Text(text[end:])) if node.astext()]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], widths: Sequence[int]) -> nodes.table:
    """A table with a head; a cell is text with code between double backticks, one paragraph a line."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in widths), cols=len(widths))
    group += nodes.thead("", row(head))
    group += nodes.tbody("", *map(row, rows))
    return nodes.table("", group, classes=["wide"])


def row(cells: Sequence[str]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", *map(paragraph, cell.split("\n"))) for cell in cells))


def paragraph(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", *words(text))
