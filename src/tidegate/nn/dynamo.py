"""Lets torch.compile trace our layers, although they are subclasses of torch.nn's.

Dynamo refuses every instance of torch.nn.RNN, LSTM and GRU, because it would unroll torch's layers step by step. Our
layers are subclasses of these, so that ``isinstance`` holds, but each is one operation (``nn/operator.py``). Dynamo's
setting ``allow_rnn`` admits all instances, so it is switched on here only while Dynamo wraps one of our layers. To
import Dynamo takes seconds, so the change waits until other code imports it.
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
    """Let Dynamo trace instances of ``kind``: at once if Dynamo is loaded, otherwise when it is loaded."""
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
    """A finder at the front of ``sys.meta_path`` that waits for the import of Dynamo's builder, then removes itself."""

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
    """Loads Dynamo's builder with its own loader, and then lets it trace our layers."""

    def __init__(self, kind: type, loader: Loader) -> None:
        self.kind, self.loader = kind, loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        _admit(self.kind, module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)  # e.g. get_source, for tracebacks
