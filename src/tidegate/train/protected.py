"""The units that private training draws and protects: rows, or all rows of one owner."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray

from tidegate.data import Source
from tidegate.errors import InputError
from tidegate.records import DataRecord
from tidegate.train.batch import Batch
from tidegate.train.fitted import OFF, ROW, Fitted, is_private, owner_of, withheld

Make = Callable[[list[int]], Batch]


class Protected:
    """The training part as units, of which each step of private training draws some.

    Args:
        rows: the rows of all units, those of a unit next to each other.
        ends: [N] where the rows of each unit end.
        make: makes a batch of rows, in their order.
        unit: what a unit is, as the statement says it.

    Attributes:
        unit: what a unit is.
    """

    def __init__(self, rows: NDArray[np.int64], ends: NDArray[np.int64], make: Make, unit: str) -> None:
        self._rows, self._ends, self._make, self.unit = rows, ends, make, unit

    @classmethod
    def of(cls, owners: Sequence[Hashable], count: int, make: Make, unit: str) -> Self:
        """Units by whom rows belong to, in the order in which they first occur.

        Args:
            owners: of each row; equal values are one unit. Rows behind them, which were planted, are units of
                their own.
            count: the number of rows.
            make: makes a batch of rows, in their order.
            unit: what a unit is, as the statement says it.
        """
        place: dict[Hashable, int] = {}
        planted = ((row,) for row in range(len(owners), count))
        each = (place.setdefault(owner, len(place)) for owner in chain(owners, planted))
        unit_of = np.fromiter(each, np.int64, count)
        ends = np.cumsum(np.bincount(unit_of, minlength=len(place)))
        return cls(np.argsort(unit_of, kind="stable"), ends.astype(np.int64), make, unit)

    @classmethod
    def each(cls, count: int, make: Make, unit: str) -> Self:
        """Units of one row each.

        Args:
            count: the number of rows.
            make: makes a batch of rows, in their order.
            unit: what a unit is, as the statement says it.
        """
        return cls(np.arange(count), np.arange(1, count + 1), make, unit)

    def __len__(self) -> int:
        return len(self._ends)

    def batch(self, places: Sequence[int]) -> tuple[Batch, torch.Tensor]:
        """All rows of some units.

        Where a unit is read at a random place, or some of it is hidden, torch's global generator draws.

        Args:
            places: of the units, none of them twice; there may be none.

        Returns:
            The batch, without a row where there are no units, and owner [B] int64: the index into ``places`` of the
            unit that each row belongs to.
        """
        parts = [self._rows[self._ends[place - 1] if place else 0 : self._ends[place]] for place in places]
        owner = torch.repeat_interleave(torch.tensor([len(part) for part in parts], dtype=torch.int64))
        if not parts:
            return self._make([int(self._rows[0])]).share(1, 2), owner  # the second of every two rows of one
        return self._make(np.concatenate(parts).tolist()), owner


class Protecting:
    """What private training asks of a task.

    Attributes:
        given: what was learnt from public data in place of the training rows.
        accepts: what private training does without unless it is public, or learnt from public data.
    """

    name: ClassVar[str]
    accepts: ClassVar[tuple[str, ...]] = ()
    given: Any = None
    source: Source
    setting: Any
    data: DataRecord

    def losses(self, outputs: Any, batch: Batch) -> torch.Tensor:
        """The losses [B] of the rows of a batch, whose sum is that of ``measure``."""
        raise NotImplementedError

    def measure_each(self, outputs: Any, batch: Batch, owner: torch.Tensor, units: int) -> torch.Tensor:
        """The losses [units] of the units of a batch, summed over their rows.

        Args:
            outputs: of the model.
            batch: from ``Protected.batch``.
            owner: [B] the unit of each row.
            units: the number of units.
        """
        losses = self.losses(outputs, batch)
        return losses.new_zeros(units).index_add(0, owner, losses)

    def protected(self, unit: str = ROW) -> Protected:
        """The training part as units, for private training.

        Args:
            unit: ``"row"``, or the column of a table whose value says whom a row belongs to, which the settings name.

        Raises:
            InputError: there is no honest unit, or no such column.
        """
        raise InputError("PRIVATE_TASK", f"the task {self.name} has no {unit} to protect", fix="train another task")

    @property
    def fitted(self) -> tuple[Fitted, ...]:
        """What was learnt from training rows beside the weights and is part of the model."""
        return () if self.given is not None else self.learns

    @property
    def learns(self) -> tuple[Fitted, ...]:
        """What is learnt from rows beside the weights, be they public or those of the training."""
        return ()

    @property
    def off(self) -> tuple[str, ...]:
        """What a private model does without, since it would be learnt from training rows without noise."""
        return OFF

    @property
    def kept(self) -> DataRecord:
        """What the model says of its data."""
        return withheld(self.data, self.source) if is_private(self.setting) else self.data


def check_unit(unit: str, setting: Any) -> None:
    """Refuse another column than that which the data were read for.

    Args:
        unit: ``"row"``, or a column.
        setting: of the task.

    Raises:
        InputError: the settings name another one.
    """
    named = owner_of(setting) or ROW
    if unit != named:
        raise InputError(
            "PRIVATE_UNIT",
            f"the data were read for protect={named!r}, not for {unit!r}",
            fix=f"make the task with the settings epsilon= and protect={unit!r}",
        )
