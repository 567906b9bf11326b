"""Recurrent states: None, a tensor, or a tuple of states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def mapped(state: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Apply a function to every tensor of a state.

    Examples:
        >>> mapped((torch.ones(1), None), torch.neg)
        (tensor([-1.]), None)
    """
    if state is None:
        return None
    return tuple(mapped(part, change) for part in state) if isinstance(state, tuple) else change(state)


def detached(state: Any) -> Any:
    """The same state without its history of gradients."""
    return mapped(state, torch.Tensor.detach)


def flattened(state: Any, path: str = "s") -> dict[str, torch.Tensor]:
    """The tensors of a state by their paths: ``s.0.1`` is the second part of the first part.

    Examples:
        >>> list(flattened((torch.zeros(1), (torch.zeros(2), None))))
        ['s.0', 's.1.0']
    """
    if state is None:
        return {}
    if not isinstance(state, tuple):
        return {path: state}
    return {name: tensor for k, part in enumerate(state) for name, tensor in flattened(part, f"{path}.{k}").items()}


def unflattened(tensors: dict[str, torch.Tensor], path: str = "s") -> Any:
    """The inverse of ``flattened``; None if there are no tensors."""
    if path in tensors:
        return tensors[path]
    parts = {int(name.removeprefix(f"{path}.").split(".")[0]) for name in tensors if name.startswith(f"{path}.")}
    return tuple(unflattened(tensors, f"{path}.{k}") for k in range(max(parts) + 1)) if parts else None
