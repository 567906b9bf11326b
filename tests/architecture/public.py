"""The public names, and the sections that their docstrings need.

python -m tests.architecture.public    # renew golden/names.txt after a public name came or went on purpose
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tidegate.option import OPTIONS

GOLDEN = Path(__file__).parent / "golden" / "names.txt"
INNER = ("data", "passes", "records", "runtime")  # rooms whose callers are other rooms
MODULES = (
    "tidegate",
    "tidegate.attack",
    "tidegate.audit",
    "tidegate.cell",
    "tidegate.compare",
    "tidegate.convert",
    "tidegate.data",
    "tidegate.errors",
    "tidegate.explain",
    "tidegate.keras",
    "tidegate.nn",
    "tidegate.option",
    "tidegate.passes",
    "tidegate.private",
    "tidegate.records",
    "tidegate.report",
    "tidegate.runtime",
    "tidegate.ship",
    "tidegate.tasks",
    "tidegate.zoo",
)


def public(module: str) -> Mapping[str, Any]:
    """The public names of a module with what they name: those of ``__all__``, or else what it defines."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return {name: getattr(loaded, name) for name in loaded.__all__}
    own = {name: value for name, value in vars(loaded).items() if getattr(value, "__module__", None) == module}
    return {name: value for name, value in own.items() if not name.startswith("_")}


def listed() -> list[str]:
    """Every public name, as the golden list has it."""
    return [f"{module}.{name}" for module in MODULES for name in sorted(public(module))]


def documented() -> dict[str, Any]:
    """Public classes and functions, each under its first name."""
    chosen: dict[int, tuple[str, Any]] = {}
    for module in MODULES:
        for name, value in public(module).items():
            if isinstance(value, type) or inspect.isroutine(value):
                chosen.setdefault(id(value), (f"{module}.{name}", value))
    return dict(chosen.values())


def faults(thing: Any, *, arguments: bool) -> Iterator[str]:
    """What the docstring of a class or a function lacks; ``arguments`` asks for all it takes and returns, too."""
    text = inspect.getdoc(thing) or ""
    summary, _, rest = text.partition("\n")
    if not summary.endswith((".", "?")) or rest.partition("\n")[0].strip():
        yield "the first paragraph is not one sentence on one line"
    needed = {"Raises": raises(thing), "Returns": arguments and gives_several(thing)}
    for section in (name for name, applies in needed.items() if applies):
        if not re.search(rf"^{section}:$", text, re.MULTILINE):
            yield f"there is no section {section}"
    unnamed = [name for name in parameters(thing) if not re.search(rf"\b{name}\b", whole(thing))] if arguments else []
    if unnamed:
        yield f"it does not name {', '.join(unnamed)}"


def whole(thing: Any) -> str:
    """A docstring with those of our base classes, to which a class may leave the arguments that it inherits.

    The options of a layer are named by the table that it refers to.
    """
    bases = [base for base in getattr(thing, "__mro__", ()) if base.__module__.startswith("tidegate.")]
    text = "\n".join([inspect.getdoc(thing) or "", *(base.__doc__ or "" for base in bases)])
    return f"{text} {' '.join(OPTIONS)}" if "OPTIONS" in text else text


def has_example(thing: Any) -> bool:
    """Whether the docstring shows the thing at work; the suite runs every such example."""
    return ">>>" in (inspect.getdoc(thing) or "")


def parameters(thing: Any) -> list[str]:
    """The names of its arguments, where the signature is ours: an enumeration's and Keras's are not."""
    if isinstance(thing, type) and not getattr(thing.__init__, "__module__", "").startswith("tidegate."):
        return []
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [name for name, one in inspect.signature(thing).parameters.items() if one.kind not in kinds]


def raises(thing: Any) -> bool:
    """Whether a function has a statement ``raise``."""
    if isinstance(thing, type):
        return False
    return any(isinstance(node, ast.Raise) for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(thing)))))


def gives_several(thing: Any) -> bool:
    """Whether a function returns a tuple, whose parts need words; of one value the summary speaks."""
    if isinstance(thing, type):
        return False
    annotation = str(inspect.signature(thing).return_annotation)
    return annotation.startswith("tuple[") and not annotation.endswith(", ...]")


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(listed()) + "\n", encoding="utf-8")
