"""Tidegate: gated recurrent networks, each cell written once as its equations.

Rooms are loaded when they are first asked for, so that ``import tidegate`` is quick and the
compiler's rooms (``spec``, ``zoo``, ``passes``, ``emit``) work on a bare Python.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate import compare, convert, data, emit, estimator, nn, report, setting, spec, tasks, train, zoo
    from tidegate.nn import Session
    from tidegate.nn.accelerate import accelerate, restore
    from tidegate.runtime import strict
    from tidegate.spec import Cell

__version__ = "0.1.0"

_ROOMS = frozenset(
    {
        "bench",
        "compare",
        "convert",
        "data",
        "emit",
        "errors",
        "estimator",
        "keras",
        "nn",
        "passes",
        "records",
        "report",
        "runtime",
        "setting",
        "spec",
        "tasks",
        "train",
        "zoo",
    }
)

_NAMES = {
    "Cell": "tidegate.spec",
    "Session": "tidegate.nn",
    "accelerate": "tidegate.nn.accelerate",
    "restore": "tidegate.nn.accelerate",
    "strict": "tidegate.runtime",
}

__all__ = [
    "Cell",
    "Session",
    "__version__",
    "accelerate",
    "compare",
    "convert",
    "data",
    "emit",
    "estimator",
    "nn",
    "report",
    "restore",
    "setting",
    "spec",
    "strict",
    "tasks",
    "train",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"tidegate.{name}")
    raise AttributeError(f"module 'tidegate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
