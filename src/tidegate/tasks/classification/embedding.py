"""What stands for the units of a text and for its n-grams: features that layers read, and votes for classes."""

from __future__ import annotations

import torch

DEVIATION = 0.1  # of embeddings at first; at 1, rare units would stay noise
BUCKETS = 1 << 16
GAIN = 0.25  # of n-grams: most are rare, and Adam's first steps are large however rare they are
VOTE = 3.0  # of n-grams: at 1, rare ones learn too slowly for Adam, at 8 they are learnt by heart
HIDDEN = 0.5  # share of the voting n-grams that training does not see
MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B)  # odd, below 2^32, so that products with 31 bits stay below 2^63
LOWEST = (1 << 31) - 1


class UnitEmbedding(torch.nn.Module):
    """An embedding of units and n-grams that takes some units for the unknown one and drops some features, in training.

    Equations:
        e[t] = E[u[t]] + 1/4 sum_{n=2..N} G[bucket(u[t-n+1..t])]

    G begins at zero, so that an n-gram that training lacks adds nothing, unless it shares the bucket of another.

    Args:
        units: how many there are.
        features: of each.
        hidden: share of units, and beside them of n-grams, that training does not see.
        dropout: share of features zeroed in training.
        ngrams: N, the units of the longest n-gram; 1 for none.

    References:
        Bojanowski et al. 2017, arXiv 1607.04606, hashes n-grams of characters so; here they are of units, and ordered.
    """

    def __init__(self, units: int, features: int, hidden: float, dropout: float, ngrams: int = 1) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(units, features)
        torch.nn.init.normal_(self.table.weight, std=DEVIATION)
        if ngrams > 1:
            self.grams = torch.nn.Embedding(BUCKETS, features)
            torch.nn.init.zeros_(self.grams.weight)
        self.ngrams, self.hidden, self.dropout = ngrams, hidden, torch.nn.Dropout(dropout)

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        """[T, B] units to [T, B, features]."""
        units = units * self._seen(units)
        embedded: torch.Tensor = self.table(units)
        for grams in buckets(units, self.ngrams):
            embedded = embedded + GAIN * self._seen(units)[..., None] * self.grams(grams)
        dropped: torch.Tensor = self.dropout(embedded)
        return dropped

    def _seen(self, units: torch.Tensor) -> torch.Tensor:
        """[T, B] bool: what training does not hide."""
        if self.training and self.hidden:
            return torch.rand(units.shape) >= self.hidden
        return torch.ones_like(units, dtype=torch.bool)


class NgramVotes(torch.nn.Module):
    """What each n-gram of a text says about its classes, by itself.

    Equations:
        logits = 3 / sqrt(N (T + 2)) sum_{n=1..N} sum_t V[bucket(u[t-n+1..t])],  t over the units and both ends

    Training hides each n-gram with probability 1/2, and the others count twice. V begins at zero.

    Args:
        classes: how many there are.
        longest: N, the units of the longest n-gram.

    Shapes:
        units [T, B] int64 and lengths [B] to [B, classes].

    References:
        A linear model beside a deep one: Cheng et al. 2016, arXiv 1606.07792.
    """

    def __init__(self, classes: int, longest: int) -> None:
        super().__init__()
        self.longest, self.table = longest, torch.nn.Embedding(BUCKETS, classes)
        torch.nn.init.zeros_(self.table.weight)

    def forward(self, units: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        edged = torch.nn.functional.pad(units + 1, (0, 0, 1, 1))  # both ends are units, too: 0
        edged[lengths + 1, torch.arange(len(lengths))] = 0
        time = torch.arange(len(edged))[:, None]
        total = self.table.weight.new_zeros(len(lengths), self.table.embedding_dim)
        for n, rows in enumerate([edged % BUCKETS, *buckets(edged, self.longest)], 1):
            seen = (time >= n - 1) & (time < lengths + 2)
            if self.training:
                seen &= torch.rand(seen.shape) >= HIDDEN
            total = total + (self.table(rows) * seen[..., None]).sum(0)
        share = 1 - HIDDEN if self.training else 1.0
        return VOTE / share * total / (self.longest * (lengths + 2)).to(total.dtype).sqrt()[:, None]


def buckets(units: torch.Tensor, longest: int) -> list[torch.Tensor]:
    """The rows of a table in which the n-grams of 2, 3, ... ``longest`` units lie that end at each step.

    Equations:
        code_1[t] = u[t] + 1;  code_n[t] = (a code_{n-1}[t-1] + u[t] + 1) mod 2^31, 0 before the first step
        bucket = floor(b code_n / 2^13) mod 2^16

    Args:
        units: [T, B] int64. Padding may stand behind a text: no n-gram looks ahead.
        longest: units of the longest.
    """
    first = code = units + 1
    found = []
    for _ in range(1, longest):
        before = torch.cat([torch.zeros_like(code[:1]), code[:-1]])
        code = (MULTIPLIERS[0] * before + first) & LOWEST
        found.append((MULTIPLIERS[1] * code >> 13) % BUCKETS)
    return found
