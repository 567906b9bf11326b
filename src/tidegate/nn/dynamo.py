"""Lets torch.compile trace our layers that are also torch.nn's.

Dynamo refuses every instance of torch.nn.RNN, LSTM and GRU, because torch's own would be unrolled step by step. Ours
are subclasses, so that ``isinstance`` holds, but one operation each (``nn/operator.py``). Dynamo has a switch that
admits all of them, ``allow_rnn``. It is turned on here while one of our layers is looked at, and for no other module.
Dynamo takes seconds to import, so this waits until somebody else imports it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

BUILDER = "torch._dynamo.variables.builder"


def admit(kind: type) -> None:
    """Let Dynamo trace instances of ``kind``, now if it is loaded, otherwise as soon as it is."""
    if BUILDER in sys.modules:
        _admit(kind, sys.modules[BUILDER])
    else:
        sys.meta_path.insert(0, _Watch(kind))


def _admit(kind: type, builder: ModuleType) -> None:
    original: Callable[[Any, Any], Any] = builder.VariableBuilder.wrap_module

    @wraps(original)
    def wrap_module(self: Any, value: Any) -> Any:
        if not isinstance(value, kind):
            return original(self, value)
        with builder.config.patch(allow_rnn=True):
            return original(self, value)

    builder.VariableBuilder.wrap_module = wrap_module


class _Watch(MetaPathFinder):
    """Stands first among the finders of modules until the one it waits for is asked for."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != BUILDER:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Admitting(self.kind, spec.loader)
        return spec


class _Admitting(Loader):
    """Loads a module as its own loader does, and then admits."""

    def __init__(self, kind: type, loader: Loader) -> None:
        self.kind, self.loader = kind, loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _admit(self.kind, module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)  # whoever asks for the source gets it
