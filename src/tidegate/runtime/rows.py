"""Sequences of different lengths without padding, and how many of them run at each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

KEPT, MOST_KEPT_STEPS = 256, 4096  # tables: at most 16 MiB in all; a longer one takes far less time to make than to run


class Steps:
    """How many sequences run at each step, as the engine reads it.

    Args:
        sizes: for each step how many sequences still run; it never grows.
        kept: whether later calls get this very table.
    """

    def __init__(self, sizes: NDArray[np.int64], *, kept: bool = False) -> None:
        self.sizes, self.kept = sizes, kept
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self.count = len(sizes)
        self.rows = int(self.offsets[-1])
        self.widest = int(sizes[0]) if len(sizes) else 0
        self.even = not len(sizes) or bool(sizes[0] == sizes[-1])
        self.addresses = (self.sizes.ctypes.data, self.offsets.ctypes.data)

    @cached_property
    def counts(self) -> list[int]:
        """The sizes as plain numbers."""
        return [int(size) for size in self.sizes]

    @staticmethod
    def uniform(count: int, size: int) -> Steps:
        """``count`` steps of ``size`` sequences each."""
        return _uniform(count, size) if count <= MOST_KEPT_STEPS else Steps(np.full(count, size, np.int64))


@lru_cache(maxsize=KEPT)
def _uniform(count: int, size: int) -> Steps:
    return Steps(np.full(count, size, np.int64), kept=True)


class Rows(NamedTuple):
    """Sequences of different lengths without padding, longest first.

    Attributes:
        data: the values of all steps, step by step, [sum of sizes, features], or [T, B, features] where all
            sequences are equally long.
        steps: how many rows are still running at each step.
        resets: for each row, [sum of sizes], whether all states are zeros before it; None for nowhere.
        restore: brings values of these rows into the caller's layout, as ``nn.rows.Batch`` does; None where that is
            the same.
        order: for each sequence the caller's index of it; None where that is the same.
    """

    data: torch.Tensor
    steps: Steps
    resets: torch.Tensor | None = None
    restore: Callable[..., Any] | None = None
    order: torch.Tensor | None = None
