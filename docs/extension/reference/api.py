"""``{api} MODULE``: the public names in the fence, from their docstrings; ``*`` stands for the rest of the module.

``{names} MODULE`` is a list of names with a sentence each, for rooms whose callers are other rooms.
"""

import inspect
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from extension.cells.markdown import file_of
from tidegate.cell import Cell
from tidegate.errors import MissingError
from tidegate.option import OPTIONS
from tidegate.train.setting import Training

from .names import expanded
from .table import table


class Api(SphinxDirective):
    """Documentation of names of one module."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        try:
            loaded = import_module(module)
        except MissingError as error:
            return [nodes.paragraph("", f"{module} is not shown: {error}")]
        lines = [line for name in expanded(module, "\n".join(self.content).split()) for line in entry(loaded, name)]
        return self.parse_text_to_nodes("\n".join(["```{eval-rst}", *lines, "```"]), allow_section_headings=False)


def entry(module: Any, name: str) -> list[str]:
    """What autodoc is asked for."""
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    if inspect.ismodule(value):
        return [f".. automodule:: {path}", "   :no-members:", "   :no-index:", ""]
    if inspect.isclass(value):
        return [f".. autoclass:: {path}", "   :members:", "   :exclude-members: extra_repr", ""]
    if callable(value):
        return [f".. autofunction:: {path}", ""]
    return [f".. py:data:: {path}", "", f"   {summary(module, name)}", ""]


def summary(module: Any, name: str) -> str:
    """The first sentence on a name; of a constant the comment that stands behind it."""
    value = getattr(module, name)
    if inspect.isroutine(value) or inspect.isclass(value):
        return (inspect.getdoc(value) or "").partition("\n")[0]
    package = Path(module.__file__).parent
    line = re.compile(rf"^{name}\b[^\n]*?=[^\n]*?  # ([^\n]+)$", re.MULTILINE)
    found = (line.search(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py")))
    return next((comment[1].capitalize() + "." for comment in found if comment), "")


def own(app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from elsewhere, and fields of named tuples, which the class describes."""
    elsewhere = callable(thing) and not getattr(thing, "__module__", "").startswith("tidegate")
    return True if elsewhere or (getattr(thing, "__doc__", "") or "").startswith("Alias for field") else None


def shortened(app: Sphinx, what: str, name: str, thing: Any, *rest: Any) -> tuple[str, str] | None:
    """The signature of what takes all options of layers or all settings of a training, without them."""
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return None
    if what != "class" or not set(OPTIONS) <= set(signature.parameters):
        return None
    is_estimator = issubclass(thing, Training)
    elsewhere = {one.name for one in fields(Training)} if is_estimator else set(OPTIONS)
    kept = [one.replace(annotation=one.empty) for name, one in signature.parameters.items() if name not in elsewhere]
    rest = ", **settings)" if is_estimator else ", **options)"
    return str(signature.replace(parameters=kept, return_annotation=signature.empty))[:-1] + rest, ""


class Names(Api):
    """The names with a sentence each."""

    def run(self) -> list[nodes.Node]:
        module = self.arguments[0]
        loaded, names = import_module(module), expanded(module, "\n".join(self.content).split())
        return [table(("name", "is"), [(title(loaded, name), summary(loaded, name)) for name in names], (40, 60))]


def title(module: Any, name: str) -> str:
    """The name, of a cell with a link to its page."""
    value, full = getattr(module, name), f"{module.__name__}.{name}"
    is_cell = inspect.isclass(value) and issubclass(value, Cell)
    return f"[{full}](../cells/{file_of(value.graph.name.lower())}.html)" if is_cell else f"``{full}``"


def setup(app: Sphinx) -> None:
    app.add_directive("api", Api)
    app.add_directive("names", Names)
    app.connect("autodoc-process-signature", shortened)
    app.connect("autodoc-skip-member", own)
