"""Jobs of the engine, and how a call of it is written down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from tidegate.runtime.library import load
from tidegate.runtime.rows import Steps
from tidegate.runtime.sized import SizedCell
from tidegate.runtime.structure import NativePlan

ALIGNMENT = 64
CPU = torch.device("cpu")  # of memory of ours, whatever torch's default is

Tensors = tuple[torch.Tensor, ...]


class Job(NamedTuple):
    """One layer in one or two directions, apart from its tensors.

    Attributes:
        cell: with its widths.
        steps: of the sequences.
        sequences: how many there are, those of no steps included.
        directions: 1, or 2 where a second set of parameters runs from the end.
        resets: for each row 1 where all states are zeros before it, uint8; or None.
        restore: brings values of the rows into the caller's layout; None where that is the same.
        watch: takes what a backward run read and the series that it wrote; None where nobody watches.
        half_output: whether the output has the type of the products.
        order: for each sequence the caller's index of it; None where that is the same.
        deeper: whether the input is the output of another layer, in which products in int8 keep 8 bits.
    """

    cell: SizedCell
    steps: Steps
    sequences: int
    directions: int
    resets: torch.Tensor | None
    restore: Callable[..., Any] | None = None
    watch: Callable[..., None] | None = None
    order: torch.Tensor | None = None
    deeper: bool = False
    half_output: bool = False


def packed_call(
    job: Job,
    plan: NativePlan,
    addresses: Sequence[int],
    strides: Sequence[int],
    *,
    workspace: int = 0,
    packed: int = 0,
    descending: bool = False,
    backward: bool = False,
    delta: int = 0,
) -> bytes:
    """A call, as the engine reads it; see ``engine/plan.h``."""
    resets = 0 if job.resets is None else job.resets.data_ptr()
    steps = job.steps
    words: bytes = plan.call.pack(
        plan.address, steps.count, job.sequences, *steps.addresses, resets, workspace, packed, descending, backward,
        delta, job.deeper, *addresses, *plan.brought, *strides, *(0 for _ in plan.brought),
    )  # fmt: skip
    return words


def pack(
    job: Job, plan: NativePlan, addresses: Sequence[int], strides: Sequence[int], size: int, delta: int = 0
) -> torch.Tensor:
    """The matrices of a call as the engine reads them, aligned.

    Args:
        job: the layer.
        plan: of the call.
        addresses: of all tensors.
        strides: from row to row of each.
        size: the engine's number of the type.
        delta: the address of what a delta run remembers, whose matrices lie otherwise; 0 for other runs.
    """
    engine = load().engine
    need = engine.tg_packed(packed_call(job, plan, addresses, strides, delta=delta), size)
    memory = torch.zeros(need + ALIGNMENT, dtype=torch.uint8, device=CPU)
    at = aligned(memory.data_ptr())
    scratch = buffer(engine.tg_workspace(packed_call(job, plan, addresses, strides, packed=at, delta=delta), size, 1))
    workspace = aligned(scratch.data_ptr())
    words = packed_call(job, plan, addresses, strides, workspace=workspace, packed=at, delta=delta)
    engine.tg_pack(words, size)
    return memory[at - memory.data_ptr() :][:need]


def buffer(size: int) -> torch.Tensor:
    """Memory of so many bytes from the first ``aligned`` address on."""
    return torch.empty(size + ALIGNMENT, dtype=torch.uint8, device=CPU)


def aligned(address: int) -> int:
    """The next address, or size, that is a whole number of cache lines."""
    return -(-address // ALIGNMENT) * ALIGNMENT
