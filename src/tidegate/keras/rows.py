"""From Keras's batches, [B, T, features] with a mask, to rows without what the mask leaves out, and back."""

from __future__ import annotations

from typing import NamedTuple

import torch

from tidegate.runtime import Rows, Steps


class Batch(NamedTuple):
    """Rows and the way back.

    Attributes:
        rows: the steps that are used, of the longest sequence first.
        shape: sequences and steps of the batch.
        order: the caller's index of each sequence; None if that is the same.
        back: the inverse of ``order``.
        owner: for each row, the caller's index of the sequence that it belongs to.
        shown: for each step of each sequence, in the caller's order, the row whose output stands there; for zeros
            the number of rows.
    """

    rows: Rows
    shape: tuple[int, int]
    order: torch.Tensor | None = None
    back: torch.Tensor | None = None
    owner: torch.Tensor | None = None
    shown: torch.Tensor | None = None

    def enter(self, state: torch.Tensor) -> torch.Tensor:
        """A state [B, width] as a layer of one direction takes it."""
        return (state if self.order is None else state.index_select(0, self.order)).unsqueeze(0)

    def leave(self, state: torch.Tensor) -> torch.Tensor:
        """The inverse of ``enter``."""
        return state[0] if self.back is None else state[0].index_select(0, self.back)

    def of_rows(self, values: torch.Tensor) -> torch.Tensor:
        """Values of each sequence, [B, width], such that they can be multiplied by the rows."""
        return values if self.owner is None else values.index_select(0, self.owner)

    def outputs(self, values: torch.Tensor) -> torch.Tensor:
        """What stands at each step, [B, T, width]."""
        if self.shown is None:
            return values.transpose(0, 1)
        and_zeros = torch.cat([values, values.new_zeros(1, values.shape[-1])])
        return and_zeros.index_select(0, self.shown.flatten()).view(*self.shape, values.shape[-1])

    def last_output(self, last: torch.Tensor) -> torch.Tensor:
        """What stands at the last step, [B, width], given the last value of the output state."""
        if self.shown is None:
            return last
        return last.masked_fill(self.shown[:, -1:] == len(self.rows.data), 0)


def full(x: torch.Tensor, *, backwards: bool) -> Batch:
    """A batch whose steps are all used.

    Args:
        x: the sequences [B, T, I].
        backwards: from the last step to the first, which is also the order of the outputs.
    """
    size, steps = x.shape[:2]
    data = (x.flip(1) if backwards else x).transpose(0, 1)
    return Batch(Rows(data, Steps.uniform(steps, size)), (size, steps))


def masked(x: torch.Tensor, mask: torch.Tensor, *, backwards: bool, zeros: bool) -> Batch:
    """A batch of which the mask leaves out steps, wherever they are.

    A step that is left out changes no state and shows the output before it, zeros where there is none.

    Args:
        x: the sequences [B, T, I].
        mask: booleans [B, T], true for each step that is used.
        backwards: from the last step to the first, which is also the order of the outputs.
        zeros: a step that is left out always shows zeros.
    """
    size, steps = mask.shape
    counts, order = mask.sum(1).sort(descending=True, stable=True)
    back = torch.argsort(order)
    used = (mask.flip(1) if backwards else mask).index_select(0, order)
    time = torch.arange(steps)
    running = (time[:, None] < counts).sum(1)  # of the sequences, at each step of the rows
    line = Steps(running[running > 0].numpy())
    rank = used.cumsum(1) - 1  # of the last step used so far, among those of its sequence
    row = torch.from_numpy(line.offsets)[rank.clamp(min=0)] + torch.arange(size)[:, None]
    where = torch.empty(line.rows, dtype=torch.int64)
    where[row[used]] = (order[:, None] * steps + (steps - 1 - time if backwards else time))[used]
    shown = row.masked_fill(~used if zeros else rank < 0, line.rows).index_select(0, back)
    data = x.reshape(size * steps, x.shape[-1]).index_select(0, where)
    return Batch(Rows(data, line), (size, steps), order, back, where // steps, shown)
