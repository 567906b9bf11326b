"""The processes of a training: one, or several started by torchrun, each with its share of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from tidegate.train.batch import Batch


class World:
    """The processes that train together.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
    """

    def __init__(self) -> None:
        together = distributed.is_available() and distributed.is_initialized()
        self.rank = distributed.get_rank() if together else 0
        self.size = distributed.get_world_size() if together else 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def joined(self, model: torch.nn.Module) -> torch.nn.Module:
        """Wrap the model so that all processes share its parameters and average its gradients."""
        return model if self.size == 1 else DistributedDataParallel(model)

    def share(self, batch: Batch) -> tuple[Batch, bool]:
        """The rows of this process, and whether they count: a process without rows runs the first row uncounted."""
        if self.size == 1:
            return batch, True
        rows = batch.inputs.shape[1]
        return (batch.share(self.rank, self.size), True) if self.rank < rows else (batch.share(0, rows), False)

    def total(self, *numbers: float) -> list[float]:
        """Sums over all processes, available in each of them."""
        if self.size == 1:
            return list(numbers)
        summed = torch.tensor(numbers, dtype=torch.float64)
        distributed.all_reduce(summed)
        totals: list[float] = summed.tolist()
        return totals

    def gathered(self, own: dict[str, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        """The tensors of every process, by rank; empty for all processes but the first."""
        if self.size == 1:
            return [own]
        everything: list[Any] | None = [None] * self.size if self.first else None
        distributed.gather_object(own, everything)
        return everything or []


def started_by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "WORLD_SIZE" in os.environ and "RANK" in os.environ


@contextmanager
def launched() -> Iterator[World]:
    """Join the other processes if torchrun started this one, and leave them at the end.

    If several fail, the first one raises its error and the others exit silently.
    """
    if not started_by_torchrun():
        yield World()
        return
    store, rank, size = next(rendezvous("env://"))
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        yield World()
        distributed.barrier()  # no process closes its connections while another still uses them
    except BaseException:
        if store.add("tidegate failures", 1) > 1:
            raise SystemExit(1) from None
        raise
    finally:
        distributed.destroy_process_group()
