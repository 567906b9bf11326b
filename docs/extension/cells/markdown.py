"""Small pieces of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

RULES = {"l": ":--", "r": "--:", "c": ":-:"}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str = "") -> str:
    """A table; ``align`` has a letter for each column, l, r or c."""
    rules = [RULES[letter] for letter in align or "l" * len(head)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rules, *rows])


def fence(kind: str, text: str = "", argument: str = "") -> str:
    """A fenced block; ``{name}`` for a directive."""
    inside = f"{text}\n" if text else ""
    return f"```{kind}{f' {argument}' if argument else ''}\n{inside}```"


def section(title: str, *parts: str) -> str:
    """A heading and what stands beneath it; nothing where that is nothing."""
    body = "\n\n".join(part for part in parts if part)
    return f"## {title}\n\n{body}" if body else ""


def page_of(*parts: str) -> str:
    """Parts with a blank line between them."""
    return "\n\n".join(part for part in parts if part) + "\n"


def file_of(name: str) -> str:
    """The name of the page of a cell, without its ending."""
    return name.replace("/", "-")


def link(title: str, name: str) -> str:
    """A link from one cell's page to another's."""
    return f"[{title}]({file_of(name)}.md)"
