"""Tidegate: gated recurrent networks, each cell written once as its equations.

Rooms are loaded when they are first asked for, so that ``import tidegate`` is quick and the
compiler's rooms (``cell``, ``zoo``, ``passes``, ``emit``) work on a bare Python.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tidegate._version import __version__
from tidegate.machine import wait_briefly

wait_briefly()  # before torch is loaded

if TYPE_CHECKING:
    from tidegate import (
        attack,
        audit,
        cell,
        compare,
        convert,
        data,
        emit,
        explain,
        nn,
        private,
        report,
        ship,
        tasks,
        train,
        zoo,
    )
    from tidegate.cell import (
        Cell,
        clamp,
        exp,
        layer_norm,
        log,
        log_sigmoid,
        maximum,
        mean,
        minimum,
        relu,
        sigmoid,
        sqrt,
        tanh,
        variance,
    )
    from tidegate.nn import Session
    from tidegate.nn.accelerate import accelerate, restore
    from tidegate.nn.frozen import frozen
    from tidegate.nn.penalty import group_penalty
    from tidegate.nn.shrink import shrink
    from tidegate.nn.sparsify import sparsify
    from tidegate.runtime import strict

_ROOMS = frozenset(
    {
        "attack",
        "audit",
        "cell",
        "compare",
        "convert",
        "data",
        "emit",
        "errors",
        "explain",
        "keras",
        "nn",
        "option",
        "passes",
        "private",
        "records",
        "report",
        "runtime",
        "ship",
        "tasks",
        "train",
        "zoo",
    }
)

_FUNCTIONS = (
    "clamp exp layer_norm log log_sigmoid maximum mean minimum relu sigmoid sqrt tanh variance"  # of a cell's step
)
_NAMES = {
    **dict.fromkeys(("Cell", *_FUNCTIONS.split()), "tidegate.cell"),
    "Session": "tidegate.nn",
    "accelerate": "tidegate.nn.accelerate",
    "frozen": "tidegate.nn.frozen",
    "group_penalty": "tidegate.nn.penalty",
    "restore": "tidegate.nn.accelerate",
    "shrink": "tidegate.nn.shrink",
    "sparsify": "tidegate.nn.sparsify",
    "strict": "tidegate.runtime",
}

__all__ = [
    "Cell",
    "Session",
    "__version__",
    "accelerate",
    "attack",
    "audit",
    "cell",
    "clamp",
    "compare",
    "convert",
    "data",
    "emit",
    "exp",
    "explain",
    "frozen",
    "group_penalty",
    "layer_norm",
    "log",
    "log_sigmoid",
    "maximum",
    "mean",
    "minimum",
    "nn",
    "private",
    "relu",
    "report",
    "restore",
    "ship",
    "shrink",
    "sigmoid",
    "sparsify",
    "sqrt",
    "strict",
    "tanh",
    "tasks",
    "train",
    "variance",
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
