"""``{errors} CLASS``: every code of an error with what it says, read from where the errors are raised."""

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .table import table

SOURCES = Path(__file__).resolve().parents[3] / "src" / "tidegate"
Said = dict[str, list[tuple[str, str]]]  # by code: messages with what to do


class Errors(SphinxDirective):
    """The codes of one class of errors."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        codes = raised()[self.arguments[0]]
        rows = [(f"``{code}``", first(codes[code])) for code in sorted(codes)]
        return [table(("code", "says"), rows, (30, 70))]


def first(said: list[tuple[str, str]]) -> str:
    """What an error says and what to do; of a code with several messages, the first and how many others there are."""
    message, fix = said[0]
    more = len({text for text, _ in said}) - 1
    return "\n".join(filter(None, [message, fix and f"To do: {fix}.", f"And {more} more like it." if more else ""]))


@cache
def raised() -> dict[str, Said]:
    """All errors that are made in the sources, by class and code."""
    found: dict[str, Said] = defaultdict(lambda: defaultdict(list))
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(code)), message, *_]) if (
                    kind.endswith("Error")
                ):
                    fix = next((word.value for word in node.keywords if word.arg == "fix"), ast.Constant(""))
                    found[kind][code].append((text(message), text(fix)))
    return found


def text(node: ast.expr) -> str:
    """A message as it reads, with names in braces where values stand."""
    match node:
        case ast.Constant(value=str(words)):
            return words
        case ast.JoinedStr(values=parts):
            return "".join(map(text, parts))
        case ast.FormattedValue(value=value):
            return f"{{{named(value)}}}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return text(left) + text(right)
        case ast.IfExp(body=body):
            return text(body)
        case _:
            return f"{{{named(node)}}}"


def named(node: ast.expr) -> str:
    """A short name for a value: the last name in it that says something."""
    names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    attributes = [part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)]
    return (attributes or names or ["..."])[0]


def setup(app: Sphinx) -> None:
    app.add_directive("errors", Errors)
