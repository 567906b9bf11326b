"""The model of a classifier: encoder, recurrent layers, pooling over time, linear head."""

from __future__ import annotations

from typing import Any

import torch

from tidegate import setting as settings
from tidegate.tasks.task import Batch, MakeLayer

DEVIATION = 0.1  # of embeddings at first; at 1, rare units would stay noise


class UnitEmbedding(torch.nn.Module):
    """An embedding that takes some units for the unknown one, and drops some features, in training."""

    def __init__(self, units: int, features: int, hidden: float, dropout: float) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(units, features)
        torch.nn.init.normal_(self.table.weight, std=DEVIATION)
        self.hidden, self.dropout = hidden, torch.nn.Dropout(dropout)

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        """[T, B] units to [T, B, features]."""
        if self.training and self.hidden:
            units = units * (torch.rand(units.shape) >= self.hidden)
        embedded: torch.Tensor = self.dropout(self.table(units))
        return embedded


class Classifier(torch.nn.Module):
    """One answer for each sequence.

    Equations:
        h[0..T-1] = layer(encoder(x));  logits = (W pool(h) + b) / temperature

    Pooling sees valid steps only: the last one (of the direction from the end, the first), their mean, the
    largest value of each unit, or their mean weighted by softmax over time of v . tanh(V h[t]).

    Shapes:
        inputs: [T, B] int64 units or [T, B, C] float; logits [B, classes].

    References:
        attention: Yang et al. 2016, doi 10.18653/v1/N16-1174. temperature: Guo et al. 2017, arXiv 1706.04599; it is
        1 unless the task fits it after training.
    """

    temperature: torch.Tensor

    def __init__(
        self,
        encoder: torch.nn.Module,
        features: int,
        layer: MakeLayer,
        setting: settings.Classification,
        classes: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layer = layer(features, bidirectional=setting.bidirectional)
        if self.layer.input_size != features:
            self.encoder = torch.nn.Sequential(encoder, torch.nn.Linear(features, self.layer.input_size))
        self.pooling, width = setting.pooling, self.layer.output_size
        if self.pooling == "attention":
            self.attention = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, 1, bias=False)
            )
        self.dropout = torch.nn.Dropout(setting.dropout)
        self.head = torch.nn.Linear(width, classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """Logits; no state is carried on."""
        del state
        assert batch.lengths is not None
        series = batch.inputs.is_floating_point()
        inputs = batch.inputs.to(self.head.weight.dtype) if series else batch.inputs
        hidden, _ = self.layer(self.encoder(inputs), lengths=batch.lengths)
        pooled = self._pooled(hidden, batch.lengths)
        return self.head(self.dropout(pooled)) / self.temperature, None

    def _pooled(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[T, B, width] to [B, width]; hidden is zero behind the end of each sequence."""
        if self.pooling == "last":
            return self._last(hidden, lengths)
        if self.pooling == "mean":
            return hidden.sum(0) / lengths[:, None].to(hidden.dtype)
        padding = (torch.arange(len(hidden))[:, None] >= lengths)[..., None]  # [T, B, 1]
        if self.pooling == "max":
            return hidden.masked_fill(padding, -torch.inf).amax(0)
        weight: torch.Tensor = self.attention(hidden).masked_fill(padding, -torch.inf).softmax(0)
        return (weight * hidden).sum(0)

    def _last(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        ends = hidden[lengths - 1, torch.arange(hidden.shape[1])]
        if not self.layer.bidirectional:
            return ends
        width = hidden.shape[2] // 2
        return torch.cat([ends[:, :width], hidden[0, :, width:]], dim=1)
