"""``{settings} TASK`` and ``{options}``: tables of what a training and a layer can be told, from their declarations."""

from dataclasses import MISSING, fields
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tidegate.option import OPTIONS
from tidegate.tasks import ESTIMATORS
from tidegate.train.setting import Range, Training, descriptions, marks

from .table import paragraph, table

ALL = "all"  # in place of a task: the settings that every task has


class Settings(SphinxDirective):
    """The settings of a task that the others do not have, and what it changes of theirs."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        kind = Training if name == ALL else ESTIMATORS[name].setting
        options = set(OPTIONS) if name == ALL else {one.name for one in fields(Training)}
        shown = [one for one in fields(kind) if one.name not in options]
        rows = [(f"``{one.name}``\n``{one.default!r}``", said(kind, one.name)) for one in shown]
        made: list[nodes.Node] = [table(("setting, default", "says"), rows, (28, 72))] if rows else []
        return made + ([] if name == ALL else changed(kind))


def said(kind: type[Training], name: str) -> str:
    """The explanation of a setting, and the numbers that it may have."""
    bounds = marks(kind, Range).get(name)
    return descriptions(kind)[name] + (f"\n{allowed(bounds)}" if bounds else "")


def allowed(bounds: Range) -> str:
    return f"at least {bounds.low:g}" + (f", at most {bounds.high:g}" if bounds.high < float("inf") else "")


def changed(kind: type[Training]) -> list[nodes.Node]:
    """A sentence on the defaults that differ from those of other tasks."""
    shared = {one.name: one.default for one in fields(Training)}
    others = [
        f"``{one.name}={one.default!r}``"
        for one in fields(kind)
        if one.name in shared and shared[one.name] != one.default is not MISSING
    ]
    return [paragraph(f"Of the settings of all tasks it has other defaults for {', '.join(others)}.")] if others else []


class OptionTable(SphinxDirective):
    """Every option of layers."""

    def run(self) -> list[nodes.Node]:
        rows = [(f"``{name}``\n``{one.default!r}``", option(one)) for name, one in OPTIONS.items()]
        return [table(("option, default", "says"), rows, (28, 72))]


def option(one: Any) -> str:
    """What an option does, what it takes, what it excludes, and whose idea it is."""
    rule = f"It must {one.rule}." if one.rule else ""
    without = f"It excludes {', '.join(f'``{name}``' for name in one.excludes)}." if one.excludes else ""
    facts = " ".join(filter(None, [rule, without, one.source and f"{one.source}."]))
    return "\n".join(filter(None, [f"{one.doc} {one.doc_in_python}".strip(), facts]))


def setup(app: Sphinx) -> None:
    app.add_directive("settings", Settings)
    app.add_directive("options", OptionTable)
