"""Models of generated problems, which are compared and not kept."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tidegate.explain.kind.base import Kind
from tidegate.language import say


class GeneratedKind(Kind):
    """The last answer to a sequence whose answers need its beginning."""

    def labels(self, batch: Any, row: int) -> list[str]:
        return [str(step + 1) for step in range(int(self.lengths(batch)[row]))]


class AddingKind(GeneratedKind):
    """The sum of two marked numbers."""

    unit, answers_in, says = say("squared error"), "", say("sum")

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        truth: torch.Tensor = batch.targets[steps, torch.arange(len(steps))]
        return (self.answer(outputs, batch, steps) - truth).square()

    def answer(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        del batch
        answers: torch.Tensor = outputs[steps, torch.arange(len(steps)), 0]
        return answers

    def features(self, batch: Any) -> tuple[str, ...]:
        del batch
        return (say("number"), say("mark"))


class SymbolicKind(GeneratedKind):
    """A symbol that was seen long before."""

    says = say("log-probability of the right symbol")

    def loss(self, outputs: Any, batch: Any, steps: torch.Tensor) -> torch.Tensor:
        rows = torch.arange(len(steps))
        return cross_entropy(outputs[steps, rows], batch.targets[steps, rows], reduction="none")

    def features(self, batch: Any) -> tuple[str, ...]:
        return tuple(say("symbol {symbol}", symbol=symbol) for symbol in range(batch.inputs.shape[-1]))


class SpikeKind(SymbolicKind):
    """Whether a spike is due at this step."""

    def features(self, batch: Any) -> tuple[str, ...]:
        del batch
        return (say("spike"),)
