"""The network of a language model."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import cross_entropy, linear

from tidegate.tasks.language.setting import LanguageSetting
from tidegate.train.batch import Batch
from tidegate.train.task import MakeLayer, SequenceModel, dropped

STEPS = 1024  # scored in one call; the result does not depend on it


class SymbolModel(SequenceModel):
    """Embedding E, recurrent layers, dropout, and the logits of the next symbol.

    Equations:
        logits = V h + b, or tied: logits = E (P h + p) + b; P h + p is h itself where E is as wide as h

    Args:
        vocabulary: the number of symbols.
        layer: makes the recurrent layers.
        setting: the width of the embedding, dropout, and whether E is tied.

    Shapes:
        inputs [T, B] int64; logits [T, B, vocabulary].

    References:
        Press and Wolf 2017, arXiv 1608.05859; Inan et al. 2017, arXiv 1611.01462.
    """

    def __init__(self, vocabulary: int, layer: MakeLayer, setting: LanguageSetting) -> None:
        embedding = torch.nn.Embedding(vocabulary, setting.embedding_size)
        outputs = setting.embedding_size if setting.tied else vocabulary
        super().__init__(embedding, setting.embedding_size, layer, setting.dropout, outputs)
        self.bias: torch.nn.Parameter | None = None
        if setting.tied:
            torch.nn.init.normal_(embedding.weight, std=setting.embedding_size**-0.5)  # logits of about the size of h
            self.bias = torch.nn.Parameter(torch.zeros(vocabulary))
            if self.layer.output_size == setting.embedding_size:
                self.head = torch.nn.Identity()  # type: ignore[assignment]

    def forward(self, batch: Batch, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Logits, and the state after the last valid step."""
        hidden, state = self.layer(self.encoder(batch.inputs), state, lengths=batch.lengths)
        return self.logits(dropped(self, hidden, self.dropout)), state

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[..., vocabulary] from the outputs of the recurrent layers [..., width]."""
        if self.bias is None:
            return self.head(hidden)  # type: ignore[no-any-return]
        return linear(self.head(hidden), self.embedding.weight, self.bias)

    @property
    def embedding(self) -> torch.nn.Embedding:
        """E, whether or not a linear map follows it."""
        first = self.encoder[0] if isinstance(self.encoder, torch.nn.Sequential) else self.encoder
        assert isinstance(first, torch.nn.Embedding)
        return first


@torch.inference_mode()
def surprise(model: SymbolModel, symbols: torch.Tensor) -> torch.Tensor:
    """-log2 of the probability of every symbol but the first, given all symbols before it.

    Shapes:
        symbols: [T + 1] int64; the answer [T] float64.
    """
    model.eval()
    bits: list[torch.Tensor] = []
    state = None
    for at in range(0, len(symbols) - 1, STEPS):
        inputs, targets = symbols[at : at + STEPS + 1][:-1], symbols[at + 1 : at + STEPS + 1]
        logits, state = model(Batch(inputs[:, None], targets[:, None]), state)
        bits.append(cross_entropy(logits[:, 0].double(), targets, reduction="none") / math.log(2))
    return torch.cat(bits) if bits else torch.zeros(0, dtype=torch.float64)
