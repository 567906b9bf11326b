"""Sequences as rows without padding, whichever way callers pass them.

A full batch, a padded batch with ``lengths=`` and torch's PackedSequence all become ``runtime.Rows``. A ``Batch``
knows how to restore the caller's layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import PackedSequence

from tidegate.errors import InputError
from tidegate.runtime import Rows, Steps, transform

Lengths = torch.Tensor | Sequence[int]


class Batch(NamedTuple):
    """Rows and the way back to the caller's layout.

    Attributes:
        rows: the sequences, longest first.
        size: how many sequences there are, those of length zero included.
        steps: of the caller's layout.
        order: for each row, the caller's index of its sequence; None if that is the same.
        back: the inverse of ``order``.
        restore: from rows to the caller's layout, [T, B, ...] or packed; its second argument fills the steps after
            the end of a sequence.
        take: from values [T, B, ...] in the caller's order to rows.
    """

    rows: Rows
    size: int
    steps: int
    order: torch.Tensor | None
    back: torch.Tensor | None
    restore: Callable[..., Any]
    take: Callable[[torch.Tensor], torch.Tensor]

    def place(self, mask: torch.Tensor, each: str) -> torch.Tensor:
        """Bring a mask, [T * B, width] or [B, width], from the caller's order into the order of the rows."""
        if each == "sequence":
            return mask if self.order is None else mask.index_select(0, self.order)
        even = self.order is None and self.rows.steps.even
        return mask if even else self.take(mask.unflatten(0, (self.steps, self.size)))


def reorder(states: Sequence[torch.Tensor], order: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
    """States [directions, B, width] in another order of the sequences; the same one for None."""
    return tuple(states) if order is None else tuple(state.index_select(1, order) for state in states)


def full(x: torch.Tensor, resets: torch.Tensor | None = None) -> Batch:
    """A batch [T, B, I] in which all sequences are equally long."""
    steps, size = x.shape[:2]
    rows = Rows(x, Steps.uniform(steps, size), None if resets is None else resets.reshape(-1))
    return Batch(rows, size, steps, None, None, lambda values, _fill=0.0: values, lambda values: values)


def padded(x: torch.Tensor, lengths: Lengths, resets: torch.Tensor | None = None) -> Batch:
    """A batch [T, B, I] in which sequence b has ``lengths[b]`` steps, possibly none.

    Raises:
        InputError: lengths that are not B integers from 0 to T.
    """
    steps, size = x.shape[:2]
    counts = checked_lengths(lengths, steps, size)
    order = np.argsort(-counts, kind="stable")
    running = np.arange(steps)[:, None] < counts[order]  # [T, B]
    sizes = running.sum(1)
    # each value's place in the caller's layout
    where = torch.from_numpy((np.arange(steps)[:, None] * size + order)[running]).to(x.device)

    def restore(values: torch.Tensor, fill: float = 0.0) -> torch.Tensor:
        flat = values.new_full((steps * size, values.shape[-1]), fill)
        flat = flat.index_copy(0, where, values) if transform() else flat.index_copy_(0, where, values)
        return flat.view(steps, size, values.shape[-1])

    def take(values: torch.Tensor) -> torch.Tensor:
        return values.flatten(0, 1).index_select(0, where)

    rows = Rows(take(x), Steps(sizes[sizes > 0]), None if resets is None else take(resets))
    there, back = (torch.from_numpy(index).to(x.device) for index in (order, np.argsort(order)))
    return Batch(rows, size, steps, there, back, restore, take)


def packed(x: PackedSequence) -> Batch:
    """A PackedSequence; results are packed in the same way.

    Raises:
        InputError: its batch sizes are not those of its rows.
    """

    def restore(values: torch.Tensor, fill: float = 0.0) -> PackedSequence:  # noqa: ARG001  nothing to fill
        return PackedSequence(values, x.batch_sizes, x.sorted_indices, x.unsorted_indices)

    sizes = x.batch_sizes.numpy().astype(np.int64)  # a copy: the caller may change them before the backward run
    _check_packed(x, sizes)
    steps = Steps(sizes)
    size, order = int(steps.sizes[0]), x.sorted_indices

    def take(values: torch.Tensor) -> torch.Tensor:
        sequences = np.arange(size) if order is None else order.numpy(force=True)
        where = np.concatenate([t * size + sequences[:count] for t, count in enumerate(steps.sizes)])
        return values.flatten(0, 1).index_select(0, torch.from_numpy(where).to(values.device))

    return Batch(Rows(x.data, steps), size, steps.count, order, x.unsorted_indices, restore, take)


def _check_packed(x: PackedSequence, sizes: NDArray[np.int64]) -> None:
    """Batch sizes are counts that never rise, one for each step, of all rows; indices are those of the sequences."""
    count = int(sizes[0]) if sizes.ndim == 1 and len(sizes) else 0
    good = count > 0 and (sizes[1:] <= sizes[:-1]).all() and sizes[-1] > 0 and int(sizes.sum()) == len(x.data)
    if not good:
        raise InputError(
            "PACKED",
            f"the PackedSequence has batch_sizes {sizes.tolist()!r:.60} for {len(x.data)} rows, which must be counts "
            f"above 0 that never rise and add up to the rows",
            fix="make it with torch.nn.utils.rnn.pack_padded_sequence",
        )
    for name, indices in (("sorted_indices", x.sorted_indices), ("unsorted_indices", x.unsorted_indices)):
        if indices is not None and indices.shape != (count,):
            raise InputError(
                "PACKED",
                f"the PackedSequence has {name} of shape {list(indices.shape)} for {count} sequences",
                fix="make it with torch.nn.utils.rnn.pack_padded_sequence",
            )


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


def checked_lengths(lengths: Lengths, steps: int, size: int) -> NDArray[np.int64]:
    try:
        counts = np.asarray(lengths.tolist() if isinstance(lengths, torch.Tensor) else lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("LENGTHS", f"lengths {lengths!r:.60} are not numbers", fix=f"pass {size} integers") from error
    if not counts.size:
        counts = counts.astype(np.int64)  # an empty list has no dtype of its own
    if counts.shape != (size,) or counts.dtype.kind not in "iu":
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
    return counts.astype(np.int64)
