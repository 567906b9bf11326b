"""The table of all options: every other module of this room declares one."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from tidegate.option.kind import Option

SHARED = frozenset({"kind", "options", "parameter", "table"})  # modules of this room that declare no option


def _declared() -> list[Option]:
    """The option of each module, in the order in which options take effect."""
    room = __name__.rpartition(".")[0]
    names = [module.name for module in pkgutil.iter_modules(import_module(room).__path__) if module.name not in SHARED]
    options: list[Option] = [import_module(f"{room}.{name}").OPTION for name in names]
    return sorted(options, key=lambda option: (option.order, option.name))


OPTIONS: Mapping[str, Option] = MappingProxyType({option.name: option for option in _declared()})
