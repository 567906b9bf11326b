"""What stands for the units of a text when recurrent layers read it."""

from __future__ import annotations

import torch

from tidegate.train.task import dropped

DEVIATION = 0.1  # of embeddings at first; at 1, rare units would stay noise


class UnitEmbedding(torch.nn.Module):
    """An embedding that takes some units for the unknown one and drops some features, in training.

    Args:
        units: how many there are.
        features: of each.
        hidden: share of units that training does not see.
        dropout: share of features zeroed in training.
    """

    def __init__(self, units: int, features: int, hidden: float, dropout: float) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(units, features)
        torch.nn.init.normal_(self.table.weight, std=DEVIATION)
        self.hidden, self.dropout = hidden, dropout

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """[T, B] units, or [T, B, 1 + L] units each followed by its letters, to [T, B, features]."""
        units = inputs if inputs.dim() == 2 else inputs[..., 0]
        if self.training and self.hidden:
            units = units * (torch.rand(units.shape) >= self.hidden)
        embedded: torch.Tensor = dropped(self, self.table(units), self.dropout)
        return embedded
