"""Encoder and decoder with attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch

from tidegate.train.batch import Batch
from tidegate.train.carry import mapped
from tidegate.train.task import MakeLayer, dropped


@dataclass(frozen=True, kw_only=True)
class PairBatch(Batch):
    """Pairs that are run together: inputs and targets are those of the decoder.

    Attributes:
        sources: [S, B] unit numbers of the sources.
        source_lengths: [B] the number of units of each source.
    """

    sources: torch.Tensor
    source_lengths: torch.Tensor


class Memory(NamedTuple):
    """The encoded source, to which the decoder attends.

    Shapes:
        values [B, S, M]; keys [B, S, H], which attention scores; there [B, 1, S] bool, False at padding.
    """

    values: torch.Tensor
    keys: torch.Tensor
    there: torch.Tensor

    def repeated(self, times: int) -> Memory:
        """Repeat every row ``times`` times, its copies next to each other."""
        return Memory(*(part.repeat_interleave(times, 0) for part in self))


class Attention(torch.nn.Module):
    """Attention of each decoder step to the steps of the source.

    Equations:
        score(h, v_s) = h · (W v_s)  (general),  h · Σ_directions v_s  (dot),  a · tanh(U h + W v_s)  (additive)
        α = softmax_s(score);  context = Σ_s α_s v_s

    Args:
        kind: the score.
        width: the size of h.
        values: the size of v; a multiple of ``width`` for ``"dot"``.

    References:
        Bahdanau et al. 2015, arXiv 1409.0473 (additive; there it precedes the decoder's step, here it follows);
        Luong et al. 2015, arXiv 1508.04025 (dot, general, global attention).
    """

    def __init__(self, kind: Literal["general", "dot", "additive"], width: int, values: int) -> None:
        super().__init__()
        self.kind, self.width = kind, width
        if kind != "dot":
            self.key = torch.nn.Linear(values, width, bias=False)
        if kind == "additive":
            self.query = torch.nn.Linear(width, width)
            self.score = torch.nn.Linear(width, 1, bias=False)

    def memory(self, values: torch.Tensor, lengths: torch.Tensor) -> Memory:
        """Prepare the encoder's outputs [S, B, M], once for all steps of the decoder."""
        there = torch.arange(len(values), device=values.device) < lengths[:, None].to(values.device)
        values = values.transpose(0, 1)
        keys = values.unflatten(-1, (-1, self.width)).sum(-2) if self.kind == "dot" else self.key(values)
        return Memory(values, keys, there[:, None])

    def forward(self, hidden: torch.Tensor, memory: Memory) -> tuple[torch.Tensor, torch.Tensor]:
        """Contexts [T, B, M] and weights [T, B, S] of the decoder's outputs [T, B, H]."""
        hidden = hidden.transpose(0, 1)
        if self.kind == "additive":
            both = self.query(hidden)[:, :, None] + memory.keys[:, None]  # [B, T, S, H]
            scores = self.score(torch.tanh(both)).squeeze(-1)
        else:
            scores = hidden @ memory.keys.mT
        weights = scores.masked_fill(~memory.there, -torch.inf).softmax(-1)
        return (weights.to(memory.values.dtype) @ memory.values).transpose(0, 1), weights.transpose(0, 1)


class SequenceToSequence(torch.nn.Module):
    """An encoder of the source and a decoder that attends to it.

    Equations:
        v = encoder(source);  s_0 = mean over directions of the encoder's last states
        h_t, s_t = decoder(y_{t-1}, s_{t-1});  c_t = attention(h_t, v)
        p(y_t) = softmax(E tanh(C [h_t, c_t]) + b), E the embeddings of the target's units

    Attention follows the recurrent layer, so a single call covers all steps of a known target. The encoder's last
    states are averaged without a learnt map, so that every cell starts from states that it could have produced.

    Args:
        sizes: of the vocabularies of source and target.
        width: the size of the embeddings.
        layer: makes recurrent layers.
        attention: the score.
        bidirectional: whether the encoder reads in both directions.
        dropout: probability of zeroing embeddings and inputs of the head, in training.

    Shapes:
        outputs: [scored steps, units of the target], logits.

    References:
        Luong et al. 2015, arXiv 1508.04025, without input feeding; Press and Wolf 2017, arXiv 1608.05859 (E is
        also the decoder's embedding).
    """

    def __init__(
        self,
        sizes: tuple[int, int],
        width: int,
        layer: MakeLayer,
        attention: Literal["general", "dot", "additive"],
        *,
        bidirectional: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.source, self.target = torch.nn.Embedding(sizes[0], width), torch.nn.Embedding(sizes[1], width)
        for embedding in (self.source, self.target):
            torch.nn.init.normal_(embedding.weight, std=width**-0.5)
        self.reader = layer(width, bidirectional=bidirectional)
        self.layer = layer(width)
        self.scale = width**0.5  # of embeddings as inputs; the head, which shares them, needs small ones
        self.encoder, self.enter = _resized(width, self.reader.input_size), _resized(width, self.layer.input_size)
        self.attention = Attention(attention, self.layer.output_size, self.reader.output_size)
        self.combine = torch.nn.Linear(self.layer.output_size + self.reader.output_size, width)
        self.bias = torch.nn.Parameter(torch.zeros(sizes[1]))

    def forward(self, batch: PairBatch, state: Any = None) -> tuple[torch.Tensor, None]:
        """Logits of the scored steps only, since they are the largest tensor; batches share no state."""
        memory, state = self.read(batch.sources, batch.source_lengths)
        combined = self._attended(batch.inputs, memory, state, batch.lengths)[0]
        return self._head(combined[batch.scored()]), None

    def read(self, sources: torch.Tensor, lengths: torch.Tensor) -> tuple[Memory, Any]:
        """Encode sources: the memory to attend to, and the first state of the decoder."""
        values, state = self.reader(self.encoder(self._embedded(self.source, sources)), lengths=lengths)
        return self.attention.memory(dropped(self, values, self.dropout), lengths), mapped(state, self._averaged)

    def write(
        self, inputs: torch.Tensor, memory: Memory, state: Any, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Logits [T, B, units] of what follows the units [T, B], attention weights [T, B, S], and the next state."""
        combined, weights, state = self._attended(inputs, memory, state, lengths)
        return self._head(combined), weights, state

    def _attended(
        self, inputs: torch.Tensor, memory: Memory, state: Any, lengths: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """Inputs of the head [T, B, width], attention weights, and the next state."""
        hidden, state = self.layer(self.enter(self._embedded(self.target, inputs)), state, lengths=lengths)
        context, weights = self.attention(hidden, memory)
        return torch.tanh(self.combine(torch.cat([hidden, context], -1))), weights, state

    def _head(self, combined: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(dropped(self, combined, self.dropout), self.target.weight, self.bias)

    def _embedded(self, embedding: torch.nn.Embedding, units: torch.Tensor) -> torch.Tensor:
        return dropped(self, self.scale * embedding(units), self.dropout)

    def _averaged(self, state: torch.Tensor) -> torch.Tensor:
        """Average a state [L*D, B, H] over the D directions: the decoder starts from it."""
        averaged: torch.Tensor = state.unflatten(0, (self.reader.num_layers, -1)).mean(1)
        return averaged


def _resized(features: int, wanted: int) -> torch.nn.Module:
    """A linear map, if the layer needs another number of features."""
    return torch.nn.Identity() if features == wanted else torch.nn.Linear(features, wanted)
