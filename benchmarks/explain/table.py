"""Tables of numbers with targets, as Markdown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

Row = list[str]
missed: list[str] = []  # the targets that were


def target(holds: bool, what: str) -> str:
    """How a table says whether a target was reached; what was not is remembered."""
    if not holds:
        missed.append(what)
    return "yes" if holds else "**no**"


def table(head: Row, rows: list[Row]) -> list[str]:
    """Lines of Markdown, printed as well."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
    print("\n".join(lines), flush=True)
    return lines


Section = tuple[str, Row, Callable[[], Iterator[Row]]]  # a title, the head of a table, and its rows


def write(title: str, command: str, sections: list[Section], output: Path | None) -> int:
    """Print all tables and write them to a page; 1 if a target was missed."""
    torch.set_num_threads(1)
    begin = time.perf_counter()
    lines = [f"# {title}", ""]
    for name, head, rows in sections:
        print(f"\n{name}", flush=True)
        lines += [f"## {name}", "", *table(head, [*rows()]), ""]
    lines += [f"`{command}`, {time.perf_counter() - begin:.0f} s on one thread, torch {torch.__version__}."]
    lines += [f"Missed: {', '.join(missed)}." if missed else "All targets are met."]
    if output:
        output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lines[-1])
    return 1 if missed else 0
