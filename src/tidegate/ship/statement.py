"""What artefacts say of the privacy of those whose data a model learnt from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import Any

import torch

from tidegate.nn import Recurrent

WIDTH = 100  # of a line of a comment


def privacy_of(parts: Iterable[Any]) -> str:
    """The promise under which recurrent layers among these modules, or inside them, were trained; empty if none."""
    layers = (part for module in parts if isinstance(module, torch.nn.Module) for part in module.modules())
    return next((layer.privacy for layer in layers if isinstance(layer, Recurrent) and layer.privacy), "")


def commented(promise: str) -> Iterator[str]:
    """The promise as lines of a comment in C, which no name in it can end; none without a promise."""
    if promise:
        yield from (f" * {line}" for line in wrap(f"Privacy: {in_comment(promise)}", WIDTH))
        yield " *"


def in_comment(text: str) -> str:
    """A text that ends no comment."""
    return " ".join(text.split()).replace("*/", "* /").replace("/*", "/ *")
