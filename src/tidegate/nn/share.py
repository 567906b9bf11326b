"""Checkpoints of layers that had parameters of their own, for layers that share them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch


def drop_equal(state_dict: dict[str, Any], prefix: str, own: Sequence[str], shared: Sequence[str]) -> Iterator[str]:
    """Take the values out that a shared parameter has as well; a sentence for each one that differs.

    Args:
        state_dict: what is loaded; it is changed.
        prefix: of all names in it.
        own: the names that parameters have in a layer that shares nothing.
        shared: for each of them the name of the parameter that stands for it.
    """
    for name, of in zip(own, shared, strict=True):
        value = state_dict.pop(prefix + name, None) if name != of else None
        kept = state_dict.get(prefix + of)
        if value is not None and not (isinstance(kept, torch.Tensor) and torch.equal(value, kept)):
            yield (f"{name} differs from {of}, which is the same Parameter here: load it into a layer without share=")
