"""Which public name stands on which page of the reference: read from the pages, without Sphinx."""

import contextlib
import importlib
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tidegate.errors import MissingError

PAGES = Path(__file__).resolve().parents[2] / "reference"
FENCE = re.compile(r"^```\{(?:api|names)\} (\S+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
REST = "*"  # whatever no fence names


def public(module: str) -> dict[str, Any]:
    """The public names of a module with what they name: those of ``__all__``, or else what it defines."""
    loaded = importlib.import_module(module)
    if hasattr(loaded, "__all__"):
        return {name: getattr(loaded, name) for name in loaded.__all__}
    own = {name: value for name, value in vars(loaded).items() if getattr(value, "__module__", None) == module}
    return {name: value for name, value in own.items() if not name.startswith("_")}


def identity(full_name: str, value: Any) -> object:
    """What names of the same thing have in common; numbers and texts are known by their names alone."""
    return id(value) if inspect.isroutine(value) or inspect.isclass(value) or inspect.ismodule(value) else full_name


def fences() -> Iterator[tuple[str, str, list[str]]]:
    """Each fence with its page, its module and the names in it."""
    for page in sorted(PAGES.glob("*.md")):
        for module, body in FENCE.findall(page.read_text(encoding="utf-8")):
            yield page.stem, module, body.split()


@cache
def named() -> frozenset[object]:
    """What fences name, but for the rest of a module; modules of extras that are not installed name nothing."""
    found = set()
    for _, module, body in fences():
        with contextlib.suppress(MissingError):
            loaded = importlib.import_module(module)
            found |= {identity(f"{module}.{name}", getattr(loaded, name)) for name in body if name != REST}
    return frozenset(found)


@cache
def linked() -> dict[str, dict[str, str]]:
    """By module the names that a docstring of it may mean, with their full names: its own, and classes of others."""
    own: dict[str, dict[str, str]] = {}
    for _, module, body in fences():
        own.setdefault(module, {}).update((name, f"{module}.{name}") for name in body if name != REST)
    classes = [(name, full) for names in own.values() for name, full in names.items() if name[0].isupper()]
    seen = [name for name, _ in classes]
    unique = {name: full for name, full in classes if seen.count(name) == 1}
    return {module: {**unique, **names} for module, names in own.items()}


def expanded(module: str, body: list[str]) -> list[str]:
    """The names of a fence, with the rest of the module in place of the star."""
    if REST not in body:
        return body
    rest = [name for name, value in public(module).items() if identity(f"{module}.{name}", value) not in named()]
    return [*(name for name in body if name != REST), *sorted(rest)]
