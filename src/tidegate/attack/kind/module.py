"""A torch module of the caller's own, which answers sequences with logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tidegate.adversary import Ball, cross_entropy, free, margin
from tidegate.attack.kind.base import Continuous, Rows
from tidegate.attack.kind.limit import Limits
from tidegate.records import AttackedRecord, TraceLine

TIE = 1e-9  # the score of a wrong answer that is as probable as the right one

Ask = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Classes(Continuous):
    """Classes of sequences: what classifiers have in common.

    Attributes:
        targets: [B] the right classes.
        classes: how many there are.
    """

    measure, better = "accuracy", "higher"
    targets: torch.Tensor
    classes: int

    @property
    def broken(self) -> str:
        return "another class than the right one"

    @property
    def chance(self) -> tuple[float, str]:
        return 1 / self.classes, f"1 of {self.classes} classes"

    def score(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        lead = margin(outputs, self.targets[rows])
        wrong = outputs.argmax(1) != self.targets[rows]
        return torch.where(wrong, lead.clamp(min=TIE), lead.clamp(max=0.0))

    def value(self, outputs: torch.Tensor, rows: Rows) -> torch.Tensor:
        return (outputs.argmax(1) == self.targets[rows]).double()

    def _losses(self) -> dict[str, Any]:
        return {
            "margin": lambda outputs, rows: margin(outputs, self.targets[rows]),
            "cross-entropy": lambda outputs, rows: cross_entropy(outputs, self.targets[rows]),
        }


class ModuleKind(Classes):
    """A module that answers sequences with logits; it is attacked as it is, in whatever mode it is.

    Args:
        model: the module.
        x: [T, B, C] float inputs.
        targets: [B] int64 classes.
        lengths: [B] of the sequences; T unless given.
        ask: logits [B, classes] from inputs and lengths; ``model(x, lengths)`` unless given.
        limits: what may change.
    """

    unit = "the unit of the inputs"

    def __init__(
        self,
        model: torch.nn.Module,
        x: torch.Tensor,
        targets: torch.Tensor,
        lengths: torch.Tensor | None = None,
        ask: Ask | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self.model, self.x, self.targets, self.count = model, x, targets, x.shape[1]
        self.lengths = torch.full((x.shape[1],), len(x)) if lengths is None else lengths
        self._ask: Ask = ask or model
        self.names = [f"feature {k + 1}" for k in range(x.shape[2])]
        mask = free(self.lengths, x.shape, steps=limits.steps, features=limits.of(self.names))
        self.ball, self.losses = Ball(limits.norm, 0.0, mask), self._losses()
        with torch.no_grad():
            self.classes = self.outputs(x[:, :1], torch.zeros(1, dtype=torch.int64)).shape[1]

    def outputs(self, x: torch.Tensor, rows: Rows) -> torch.Tensor:
        return self._ask(x, self.lengths[rows])

    def stuffed(self, rows: Rows) -> torch.Tensor | None:
        behind = (torch.arange(len(self.x))[:, None] >= self.lengths[rows])[..., None]
        if not behind.any():
            return None
        other = torch.randn(self.x[:, rows].shape, generator=torch.Generator().manual_seed(0)).to(self.x)
        with torch.no_grad():
            return self.outputs(torch.where(behind, other, self.x[:, rows]), rows)

    def shown(self, row: int, change: torch.Tensor, budget: float) -> AttackedRecord:
        rows = torch.tensor([row])
        moved = self.ball.rows(rows).moved(self.x[:, rows], change)
        with torch.no_grad():
            before, after = (str(int(self.outputs(x, rows).argmax())) for x in (self.x[:, rows], moved))
        steps = int(self.lengths[row])
        lines = tuple(
            TraceLine(name, tuple(self.x[:steps, row, c].tolist()), tuple(moved[:steps, 0, c].tolist()))
            for c, name in enumerate(self.names[:3])
        )
        size = f"{float(self.ball.rows(rows).size(change)):.3g}"
        return AttackedRecord(f"sequence {row + 1}", str(int(self.targets[row])), before, after, budget, size, lines)
