"""The model of a classifier: encoder, recurrent layers, pooling over time, linear head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from tidegate.tasks.classification.ballot import SeriesVotes
from tidegate.tasks.classification.ngram import NgramVotes
from tidegate.tasks.classification.scale import SeriesEncoder
from tidegate.tasks.classification.setting import ClassificationSetting
from tidegate.train.batch import Batch
from tidegate.train.task import MakeLayer, dropped

DEVIATION = 0.1  # of initial embeddings; with 1, those of rare units would remain noise


class UnitEmbedding(torch.nn.Module):
    """An embedding that, in training, replaces some units by the unknown one and drops some features.

    Args:
        units: the number of units.
        features: the width of an embedding.
        hidden: share of units hidden in training.
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


class Classifier(torch.nn.Module):
    """One answer for each sequence.

    Equations:
        h[0..T-1] = layer(encoder(x));  z = W pool(h) + b
        logits = u z / temperature + v votes(x)

    Pooling sees valid steps only: the last one (the first one for the backward direction), their mean, the
    largest value of each unit, or their mean weighted by softmax over time of v . tanh(V h[t]).
    Votes are fitted by themselves, and u and v say how much layers and votes count.

    Shapes:
        inputs: [T, B] units, [T, B, 1 + L] units each followed by its letters, or [T, B, F] float as ``Scale`` and
        ``Observed`` encode series; logits [B, classes].

    References:
        attention: Yang et al. 2016, doi 10.18653/v1/N16-1174. temperature: Guo et al. 2017, arXiv 1706.04599; it is
        1 unless the task fits it after training.
    """

    temperature: torch.Tensor
    shares: torch.Tensor
    votes: NgramVotes | SeriesVotes | None

    def __init__(
        self,
        encoder: torch.nn.Module,
        features: int,
        layer: MakeLayer,
        setting: ClassificationSetting,
        classes: int,
        votes: NgramVotes | SeriesVotes | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        given = {"given": encoder.given_names} if isinstance(encoder, SeriesEncoder) and encoder.given_names else {}
        self.layer = layer(features, bidirectional=setting.bidirectional, **given)
        if self.layer.input_size != features:
            self.encoder = torch.nn.Sequential(encoder, torch.nn.Linear(features, self.layer.input_size))
        self.pooling, width = setting.pooling, self.layer.output_size
        if self.pooling == "attention":
            self.attention = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, 1, bias=False)
            )
        self.dropout = setting.dropout
        self.head = torch.nn.Linear(width, classes)
        self.register_buffer("temperature", torch.ones(()))
        self.votes = None
        if votes is not None:
            self.hear(votes, (1.0, 1.0))

    def readers(self) -> dict[str, list[str]]:
        """The head, and attention: what reads the recurrent layers, see ``tidegate.shrink``."""
        return {"layer": ["head", *(["attention.0"] if self.pooling == "attention" else [])]}

    def hear(self, votes: NgramVotes | SeriesVotes, shares: Sequence[float]) -> None:
        """Take votes.

        Args:
            votes: of a text or a series.
            shares: how much layers and votes count.
        """
        self.votes = votes.to(self.head.weight.dtype)
        self.register_buffer("shares", self.head.weight.new_tensor(shares))

    @property
    def series(self) -> SeriesEncoder | None:
        """What reads series; None for texts."""
        first = self.encoder[0] if isinstance(self.encoder, torch.nn.Sequential) else self.encoder
        return first if isinstance(first, SeriesEncoder) else None

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, None]:
        """Logits; batches share no state."""
        del state
        if self.votes is None:
            return self._answered(batch) / self.temperature, None
        layers, votes = self.parts(batch)
        return self.shares[0] * layers + self.shares[1] * votes, None

    def parts(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What the layers and the votes answer, each by themselves: [B, classes] logits."""
        assert self.votes is not None
        assert batch.lengths is not None
        heard = (batch.inputs, batch.lengths)
        if self.series is not None:
            heard = self.series.unframed(batch.inputs), batch.lengths * self.series.frame
        return self._answered(batch) / self.temperature, self.votes(*heard)

    def _answered(self, batch: Batch) -> torch.Tensor:
        """[B, classes]: what the layers answer."""
        assert batch.lengths is not None
        series = batch.inputs.is_floating_point()
        inputs = batch.inputs.to(self.head.weight.dtype) if series else batch.inputs
        given = {} if self.series is None else self.series.given(inputs)
        hidden, _ = self.layer(self.encoder(inputs), lengths=batch.lengths, **({"given": given} if given else {}))
        logits: torch.Tensor = self.head(dropped(self, self._pooled(hidden, batch.lengths), self.dropout))
        return logits

    def _pooled(self, hidden: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """[T, B, width] to [B, width]; hidden is zero after the end of each sequence."""
        if self.pooling == "last":
            return self._last(hidden, lengths)
        if self.pooling == "mean":
            return hidden.sum(0) / lengths[:, None].to(hidden.dtype)
        padding = _padding(hidden, lengths)
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


def _padding(steps: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[T, B, 1] bool: the steps after the end of each sequence."""
    return (torch.arange(len(steps))[:, None] >= lengths)[..., None]
