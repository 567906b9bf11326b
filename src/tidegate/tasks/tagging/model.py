"""The encoder of words before the recurrent layers."""

from __future__ import annotations

import torch

from tidegate.tasks.tagging.setting import TaggingSetting
from tidegate.train.task import dropped

DEVIATION = 0.1  # of embeddings at first, so that rare words begin near zero
SHAPE_SIZE = 8


class WordEncoder(torch.nn.Module):
    """The word itself, its shape, and its first and last letters.

    Equations:
        x = dropout([E word; S shape; sum_k A end[k]])

    Training replaces some words by the unknown one, so that the model learns to do without them.

    Shapes:
        inputs: [T, B, 2 + 8] int64, as ``TaggingEncoding.encode`` gives them, to [T, B, features].

    References:
        Sums of embedded pieces of words: Bojanowski et al. 2017, arXiv 1607.04606. Taggers with both directions and
        parts of words: Plank et al. 2016, arXiv 1604.05529.
    """

    def __init__(self, words: int, ends: int, shapes: int, setting: TaggingSetting) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(words, setting.embedding_size)
        self.shapes = torch.nn.Embedding(shapes, SHAPE_SIZE)
        self.ends: torch.nn.EmbeddingBag | None = None
        self.features = setting.embedding_size + SHAPE_SIZE + setting.ends_size
        if setting.ends_size:
            self.ends = torch.nn.EmbeddingBag(ends, setting.ends_size, mode="sum", padding_idx=0)
        self.word_dropout, self.dropout = setting.word_dropout, setting.dropout
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, std=DEVIATION)
        if self.ends is not None:
            torch.nn.init.zeros_(self.ends.weight[0])

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        words = inputs[..., 0]
        if self.training and self.word_dropout:
            words = words * (torch.rand(words.shape) >= self.word_dropout)
        parts = [self.words(words), self.shapes(inputs[..., 1])]
        if self.ends is not None:
            parts.append(self.ends(inputs[..., 2:].flatten(0, 1)).unflatten(0, words.shape))
        embedded: torch.Tensor = dropped(self, torch.cat(parts, dim=-1), self.dropout)
        return embedded
