"""What a stream remembers that multiplies only what changed: sums of products, and operands as they were last sent."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import NamedTuple

import torch

from tidegate.emit.delta import Remembered
from tidegate.runtime.structure import DeltaStruct

PERIOD = 1000  # steps after which sums are made afresh: roundings of so many add up to a few units of the last place


class Delta(NamedTuple):
    """Thresholds: what changed by no more than this is not sent. With 0 everything is multiplied.

    Attributes:
        inputs: of the input of a stack.
        states: of states, and of what deeper layers read.
    """

    inputs: float
    states: float


class Sent(NamedTuple):
    """Which share of the multiplications by matrices was made.

    Attributes:
        inputs: of those of the input.
        states: of all others; None where there are none.
        overall: of all.
    """

    inputs: float
    states: float | None
    overall: float


class DeltaMemory:
    """What one direction of a layer remembers of each sequence.

    Args:
        remembered: where.
        parameters: of the direction, by name.
        sequences: how many there are (B).
        threshold: of the operands.

    Attributes:
        rows: sums and operands, [B, width].
        sent: of each sequence and group how many steps are left until its sums are made afresh, and how many columns
            were sent so far, [B, groups, 2].
    """

    def __init__(
        self, remembered: Remembered, parameters: Mapping[str, torch.Tensor], sequences: int, threshold: Delta
    ) -> None:
        like = next(iter(parameters.values()))
        self._groups = remembered.groups
        self._first = like.new_zeros(remembered.width)
        for column, name, offset, count in remembered.biases:
            self._first[column : column + count] = parameters[name][offset : offset + count]
        self.rows = like.new_empty(sequences, remembered.width)
        self.sent = torch.zeros(sequences, len(self._groups), 2, dtype=torch.int64, device=like.device)
        self._struct = DeltaStruct(
            *threshold, self.rows.data_ptr(), remembered.width, self.sent.data_ptr(), len(self._groups), PERIOD
        )
        self.address = ctypes.addressof(self._struct)
        self.reset(None)

    def reset(self, rows: torch.Tensor | None) -> None:
        """Forget everything of some sequences, of all by default: nothing was sent, and sums are biases."""
        which = slice(None) if rows is None else rows
        self.rows[which] = self._first
        self.sent[which, :, 0] = PERIOD

    def start_afresh(self) -> None:
        """Make all sums afresh at the next step."""
        self.sent[:, :, 0] = 0

    def made(self, kind: int) -> int:
        """How many multiplications were made of operands of this kind."""
        counts = self.sent[:, :, 1].sum(0).tolist()
        return sum(n * group.rows for n, group in zip(counts, self._groups, strict=True) if group.kind == kind)


def share_sent(inputs: tuple[int, int], states: tuple[int, int]) -> Sent:
    """Multiplications made and all, of the input and of all else, as shares; 1 of none yet."""
    made, whole = inputs[0] + states[0], inputs[1] + states[1]
    if not whole:
        return Sent(1.0, 1.0, 1.0)
    return Sent(inputs[0] / inputs[1], states[0] / states[1] if states[1] else None, made / whole)
