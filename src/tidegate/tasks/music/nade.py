"""A head that draws the keys of a step from their joint distribution."""

from __future__ import annotations

import math

import torch
from torch.nn.functional import embedding, linear, logsigmoid

from tidegate.data import KEYS

LARGEST = 1 << 22  # numbers of a hidden layer or of logits that are held at once


class Nade(torch.nn.Module):
    """RNN-NADE: each key depends on the recurrent layers and on the keys below it that sound at the same step.

    Equations:
        p(x) = Π_k p(x_k | x_<k)
        p(x_k = 1 | x_<k) = sigmoid(b_v[k] + V_k · h_k)
        h_k = sigmoid(b_h + Σ_{j<k} x_j W_j)
        b_h = c + U_h u, b_v = d + U_v u, u being the outputs of the recurrent layers after the steps before x

    The hidden layer h_k changes only above a key that sounds, so a step with n keys needs n + 1 of them, not one for
    each key.

    Args:
        features: the size of u.
        units: the size of the hidden layer.
        keys: the number of keys.

    References:
        Boulanger-Lewandowski, Bengio and Vincent 2012, arXiv 1206.6392, section 4; Larochelle and Murray 2011, The
        Neural Autoregressive Distribution Estimator, with weights V of their own.
    """

    def __init__(self, features: int, units: int, keys: int = KEYS) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(features, units)  # b_h
        bound = 1 / math.sqrt(units)
        self.heard = torch.nn.Parameter(torch.empty(keys, units).uniform_(-bound, bound))  # W
        self.answer = torch.nn.Parameter(torch.empty(keys, units).uniform_(-bound, bound))  # V

    def forward(self, features: torch.Tensor, bias: torch.Tensor, chords: torch.Tensor) -> torch.Tensor:
        """Logits of p(x_k = 1 | x_<k).

        Args:
            features: u.
            bias: b_v.
            chords: x.

        Shapes:
            features: [..., features]; bias, chords and the result [..., keys].
        """
        keys, units = self.heard.shape
        layers = 1 + max((chords > 0).sum(-1).flatten().tolist(), default=0)
        rows = max(1, LARGEST // (layers * max(keys, units)))
        pieces = zip(*(tensor.flatten(0, -2).split(rows) for tensor in (features, bias, chords)), strict=True)
        return torch.cat([self._logits(layers, *piece) for piece in pieces]).view_as(bias)

    def _logits(self, layers: int, features: torch.Tensor, bias: torch.Tensor, chords: torch.Tensor) -> torch.Tensor:
        sounds = chords > 0
        sounding = sounds.cumsum(-1)  # keys up to each key, itself included
        row, key = sounds.nonzero(as_tuple=True)
        added = self.heard.new_zeros(len(chords), layers, self.heard.shape[1])
        added[:, 0] = self.hidden(features)
        added[row, sounding[row, key]] = embedding(key, self.heard)
        answers = linear(added.cumsum(1).sigmoid(), self.answer)  # [N, layers, keys]
        below = sounding - sounds.long()
        return bias + answers.gather(1, below[:, None]).squeeze(1)

    def draw(
        self, features: torch.Tensor, bias: torch.Tensor, temperature: float, random: torch.Generator
    ) -> torch.Tensor:
        """Draw a chord from below: the next key that sounds, or none, until it is none.

        Equations:
            P(the next key above those drawn is k) = p(x_k = 1) Π_i (1 - p(x_i = 1)), i between them, given those drawn
            the chance of each answer ∝ P^(1 / temperature)

        The answers are symbols, as in a text, so a temperature sharpens all of them alike. Sharpened key by key, a
        low temperature would pass over keys that are improbable one by one, until only the last of them is left.

        Args:
            features: u of one step.
            bias: b_v of that step.
            temperature: 0 takes the most probable answers.
            random: draws the answers.

        Shapes:
            features: [features]; bias and the result [keys], the result bool.
        """
        chord, hidden, low = torch.zeros(len(bias), dtype=torch.bool), self.hidden(features), 0
        while low < len(chord):
            logits = (bias + linear(hidden.sigmoid(), self.answer))[low:].double()
            silent = logsigmoid(-logits).cumsum(0)  # no key up to each key
            before = torch.cat([silent.new_zeros(1), silent])
            key = low + _pick(torch.cat([before[:-1] + logsigmoid(logits), before[-1:]]), temperature, random)
            if key < len(chord):
                chord[key], hidden = True, hidden + self.heard[key]
            low = key + 1
        return chord


def _pick(chances: torch.Tensor, temperature: float, random: torch.Generator) -> int:
    """The place of the answer that is drawn, from logarithms of chances."""
    if temperature == 0:
        return int(chances.argmax())
    sharpened = (chances - chances.max()) / temperature  # at most 0, so that a tiny temperature leaves the largest
    return int(torch.multinomial(sharpened.softmax(0), 1, generator=random))
