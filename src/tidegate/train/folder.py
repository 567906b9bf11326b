"""The folder of a saved model: its weights, and its lock. No code in it is ever run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from tidegate.errors import InputError
from tidegate.storage import alone
from tidegate.train.precision import doubled
from tidegate.train.world import World

LOCK = ".lock"
LARGEST = 1e10  # a weight; no training ends beyond it, and products of larger ones overflow


def with_weights(make: Callable[[], torch.nn.Module], weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """Make a model with these weights.

    Shapes are compared before anything is allocated, and the caller's random state stays as it is.

    Raises:
        ValueError: a tensor is missing, unexpected, of another shape, not finite, or so large that answers may not be.
    """
    with torch.device("meta"):  # damaged settings must not be able to exhaust the memory
        wanted = {name: tuple(tensor.shape) for name, tensor in make().state_dict().items()}
    saved = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    for name in sorted(wanted.keys() | saved.keys()):
        if name not in saved:
            raise ValueError(f"{name} of shape {wanted[name]} is missing")
        if name not in wanted:
            raise ValueError(f"{name} does not belong to this model")
        if wanted[name] != saved[name]:
            raise ValueError(f"{name} has shape {saved[name]}, expected {wanted[name]}")
    if problem := overflowing(weights):
        raise ValueError(problem)
    with torch.random.fork_rng(devices=[]):
        model = make()
    if any(tensor.dtype == torch.float64 for tensor in weights.values()):
        doubled(model)
    model.load_state_dict(weights)
    return model.eval()


def overflowing(weights: Mapping[str, torch.Tensor]) -> str:
    """Which tensor of a model has values that no training ends with; empty if none has."""
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not (tensor.abs() <= LARGEST).all():
            return f"{name} has values that are not finite, or beyond {LARGEST:g}"
    return ""


@contextmanager
def locked(home: Path, *, keep: bool = True) -> Iterator[None]:
    """Lock the folder for this fit; processes started by torchrun are one fit.

    Args:
        home: the folder.
        keep: whether the file of the lock may stay where there was none.

    Raises:
        InputError: another fit is using the folder.
    """
    if not World().first:
        yield
        return
    taken = InputError("OUT_LOCKED", f"another training is using {home}", fix="wait for it, or choose another folder")
    with alone(home / LOCK, taken, keep=keep or (home / LOCK).exists()):
        yield
