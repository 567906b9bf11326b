"""The three ways in which callers pass sequences, brought to one: rows without padding.

A full batch, a padded batch with ``lengths=``, and torch's PackedSequence all become
``runtime.Rows``; a ``Batch`` remembers the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import PackedSequence

from tidegate.errors import InputError
from tidegate.runtime import Rows, Steps, transform

Lengths = torch.Tensor | Sequence[int]


class Batch(NamedTuple):
    """Rows and the way back to the caller's layout.

    Attributes:
        rows: the sequences, longest first.
        size: how many sequences there are, those of length zero included.
        order: for each row, the caller's index of its sequence; None if that is the same.
        back: the inverse of ``order``.
        restore: brings values laid out as the rows into the caller's layout, [T, B, ...] or
            packed; its second argument fills what lies behind the end of a sequence.
    """

    rows: Rows
    size: int
    order: torch.Tensor | None
    back: torch.Tensor | None
    restore: Callable[..., torch.Tensor | PackedSequence]


def full(x: torch.Tensor, resets: torch.Tensor | None = None) -> Batch:
    """A batch [T, B, I] in which all sequences are equally long."""
    steps, size = x.shape[:2]
    rows = Rows(x, Steps.even_ones(steps, size), None if resets is None else resets.reshape(-1))
    return Batch(rows, size, None, None, lambda values, _fill=0.0: values)


def padded(x: torch.Tensor, lengths: Lengths, resets: torch.Tensor | None = None) -> Batch:
    """A batch [T, B, I] of which sequence b has ``lengths[b]`` steps, possibly none.

    Raises:
        InputError: lengths that are not B integers from 0 to T.
    """
    steps, size = x.shape[:2]
    counts = _checked(lengths, steps, size)
    sorted_counts, order = torch.sort(counts, descending=True, stable=True)
    time = torch.arange(steps)
    running = time[:, None] < sorted_counts[None, :]  # [T, B]
    where = (time[:, None] * size + order[None, :])[running].to(x.device)  # each value's place in the caller's layout
    sizes = running.sum(1)

    def restore(values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        flat = values.new_full((steps * size, values.shape[-1]), fill)
        flat = flat.index_copy(0, where, values) if transform() else flat.index_copy_(0, where, values)
        return flat.view(steps, size, values.shape[-1])

    data = x.reshape(steps * size, x.shape[-1]).index_select(0, where)
    order = order.to(x.device)
    resets = None if resets is None else resets.reshape(-1).index_select(0, where)
    return Batch(Rows(data, Steps(sizes[sizes > 0].numpy()), resets), size, order, torch.argsort(order), restore)


def packed(x: PackedSequence) -> Batch:
    """PackedSequence as torch has it; values come back packed the same way."""

    def restore(values: torch.Tensor, fill: float = 0.0) -> PackedSequence:  # noqa: ARG001  nothing to fill
        return PackedSequence(values, x.batch_sizes, x.sorted_indices, x.unsorted_indices)

    steps = Steps(x.batch_sizes.numpy().copy())  # theirs may change before the backward run
    return Batch(Rows(x.data, steps), int(steps.sizes[0]), x.sorted_indices, x.unsorted_indices, restore)


def check_resets(resets: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """A mask [T, B] of the steps before which all states become zeros.

    Raises:
        InputError: it is not one boolean for each step of each sequence.
    """
    if not isinstance(resets, torch.Tensor) or resets.dtype != torch.bool or resets.shape != x.shape[:2]:
        got = f"{list(resets.shape)} {resets.dtype}" if isinstance(resets, torch.Tensor) else type(resets).__name__
        raise InputError(
            "RESET",
            f"reset is {got}, expected booleans for {x.shape[0]} steps of {x.shape[1]} sequences",
            fix="pass a boolean tensor, shaped as the input without its features",
        )
    return resets.to(x.device)


def _checked(lengths: Lengths, steps: int, size: int) -> torch.Tensor:
    try:
        counts = torch.as_tensor(lengths).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("LENGTHS", f"lengths {lengths!r:.60} are no numbers", fix=f"pass {size} integers") from error
    if not counts.numel():
        counts = counts.long()  # an empty list has no dtype of its own
    if counts.shape != (size,) or counts.is_floating_point() or counts.is_complex() or counts.dtype == torch.bool:
        raise InputError(
            "LENGTHS",
            f"lengths has shape {list(counts.shape)} and dtype {counts.dtype}, expected {size} integers",
            fix="pass one number of valid steps for each sequence of the batch",
        )
    if size and not 0 <= int(counts.min()) <= int(counts.max()) <= steps:
        raise InputError(
            "LENGTHS",
            f"lengths go from {int(counts.min())} to {int(counts.max())}, but the input has {steps} steps",
            fix=f"every length must lie between 0 and {steps}",
        )
    return counts.long()
