"""Layers in whole numbers beside floats: what both have a name for is told apart in one file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from tidegate.emit.c99_function import functions
from tidegate.ship.c.int8.function import FUNCTIONS
from tidegate.ship.c.int8.stack import WholeUnit
from tidegate.ship.c.kernel import INTEGER_STATES

OWN = (*FUNCTIONS, "tanh_table", "add_product", "add_four", "add_scaled")
NAMES = re.compile(rf"@({'|'.join(OWN)})\b")


def apart(text: str) -> str:
    """The same with other names for functions of whole numbers: ``@whole_tanh`` for ``@tanh``."""
    return NAMES.sub(r"@whole_\1", text)


def aside(units: Iterable[WholeUnit]) -> list[WholeUnit]:
    """Layers that call those functions."""
    return [replace(unit, text=replace(unit.text, lines=tuple(map(apart, unit.text.lines)))) for unit in units]


def whole_functions(names: Iterable[str]) -> str:
    """The functions of these names, of what they call, and the product."""
    return apart(functions(names, "@", FUNCTIONS)) + "\n" + apart(INTEGER_STATES.text)
