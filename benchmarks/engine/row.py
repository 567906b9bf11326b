"""A row of the bench: who takes turns with whom on what, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.engine.item import Item

Role = Literal["ours", "peer", "eager", "yardstick", "ceiling"]
Unit = Literal["call", "token", "flop"]


@dataclass(frozen=True)
class Entrant:
    """A contestant with its item.

    Attributes:
        peer: its name among ``PEERS``.
        item: its work; a yardstick does another one than the row's.
        role: "ours" is what is measured, a "peer" is another library, "eager" our own eager path, a "yardstick" our
            own layer on other work, a "ceiling" what the machine allows.
        label: as tables print it.
        target: what their time over ours must reach in this row, 0 for nothing.
    """

    peer: str
    item: Item
    role: Role
    label: str
    target: float = 0.0


@dataclass(frozen=True)
class Row:
    """Entrants that take turns, round by round.

    Attributes:
        group: the table to which it belongs.
        item: its work.
        entrants: the first of role "ours" that is available is what the others are compared with.
        unit: ratios are taken of the time per call, per token or per floating-point operation.
    """

    group: str
    item: Item
    entrants: tuple[Entrant, ...]
    unit: Unit = "call"

    @property
    def title(self) -> str:
        return f"{self.item.title}, {self.item.threads} thread{'s' if self.item.threads > 1 else ''}"

    def units(self, item: Item) -> int:
        """How many units an item of an entrant has."""
        return {"call": 1, "token": item.tokens, "flop": item.flops}[self.unit]
