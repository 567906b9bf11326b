"""Linear votes of n-grams for the class of a text: n-grams of its units, and of the letters of its words."""

from __future__ import annotations

import torch

BUCKETS = (
    1 << 18
)  # largest number of rows in a table, whose size is at most NUMBERS: each step of Adam visits all of it
NUMBERS = 1 << 21
HIDDEN = 0.5  # share of the n-grams that training hides
LETTERS = (3, 6)  # lengths of the shortest and longest n-grams within a word
NOTHING, END, FIRST = 0, 1, 2  # symbols: padding; either end of a text or word; the first of its own symbols
MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B)  # odd, below 2^32, so that products with 31 bits stay below 2^63
LOWEST = (1 << 31) - 1


class TextVotes(torch.nn.Module):
    """The votes of the n-grams of a text's units and, if inputs have letters, of the letters within words.

    Args:
        classes: the number of classes.
        longest: length of the longest n-gram of units.
        weight: the weight of a vote.
        letters: whether inputs have letters.

    Shapes:
        inputs [T, B] units, or [T, B, 1 + L] units each followed by its letters, and lengths [B], to [B, classes].
    """

    def __init__(self, classes: int, longest: int, weight: float, letters: bool) -> None:
        super().__init__()
        self.units = NgramVotes(classes, 1, longest, weight)
        self.letters = NgramVotes(classes, *LETTERS, weight) if letters else None

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        units = inputs if self.letters is None else inputs[..., 0]
        answer: torch.Tensor = self.units(_ended(units, lengths))
        if self.letters is not None:
            answer = answer + self.letters(inputs[..., 1:].permute(2, 0, 1))
        return answer


class NgramVotes(torch.nn.Module):
    """A vote of each n-gram of symbols for the classes.

    Equations:
        logits = weight / sqrt(K) sum_k V[bucket(g_k)],  g_1 ... g_K all n-grams of ``shortest`` to ``longest`` symbols

    Training hides each n-gram with probability 1/2 and doubles the votes of the others. V starts at zero. The weight
    sets how fast V takes effect, since Adam's steps have one size and most n-grams are rare.

    Args:
        classes: the number of classes.
        shortest: length of the shortest n-gram.
        longest: length of the longest n-gram.
        weight: the weight of a vote.

    Shapes:
        symbols [S, ..., B] int, 0 after the end of each sequence, to [B, classes]: all sequences with the same last
        index vote together.

    References:
        A linear model next to a deep one: Cheng et al. 2016, arXiv 1606.07792. n-grams of letters for rare words:
        Bojanowski et al. 2017, arXiv 1607.04606.
    """

    def __init__(self, classes: int, shortest: int, longest: int, weight: float) -> None:
        super().__init__()
        self.shortest, self.longest, self.weight = shortest, longest, weight
        self.table = torch.nn.Embedding(min(BUCKETS, NUMBERS // classes), classes)
        torch.nn.init.zeros_(self.table.weight)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        texts = torch.arange(symbols.shape[-1]).expand(symbols.shape)
        total = self.table.weight.new_zeros(symbols.shape[-1], self.table.embedding_dim)
        count = total[:, 0].clone()
        for n, rows in enumerate(self._rows(symbols), self.shortest):
            there = symbols != NOTHING
            there[: n - 1] = False
            count += there.flatten(0, -2).sum(0)
            if self.training:
                there &= torch.rand(there.shape) >= HIDDEN
            total = total.index_add(0, texts[there], self.table(rows[there]))
        share = 1 - HIDDEN if self.training else 1.0
        return self.weight / share * total / count.clamp(min=1).sqrt()[:, None]

    def _rows(self, symbols: torch.Tensor) -> list[torch.Tensor]:
        return buckets(symbols, self.longest, self.table.num_embeddings)[self.shortest - 1 :]


def _ended(units: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """[T, B] units to [T + 2, B] symbols, with a symbol for both ends of each text."""
    there = torch.arange(len(units))[:, None] < lengths
    symbols = torch.nn.functional.pad(torch.where(there, units + FIRST, NOTHING), (0, 0, 1, 1))
    symbols[0] = END
    symbols[lengths + 1, torch.arange(len(lengths))] = END
    return symbols


def buckets(symbols: torch.Tensor, longest: int, rows: int) -> list[torch.Tensor]:
    """The table rows of the n-grams of 1, 2, ... ``longest`` symbols that end at each place.

    Equations:
        code_1[s] = x[s];  code_n[s] = (a code_{n-1}[s-1] + x[s]) mod 2^31, where code_{n-1} is 0 before the first place
        bucket_1 = code_1 mod rows;  bucket_n = floor(b code_n / 2^13) mod rows

    Args:
        symbols: [S, ...] int; padding may follow, since n-grams look back only.
        longest: length of the longest n-gram.
        rows: the number of rows of the table.
    """
    first = code = symbols.long()
    rows_of_length = [code % rows]
    for _ in range(1, longest):
        before = torch.cat([torch.zeros_like(code[:1]), code[:-1]])
        code = (MULTIPLIERS[0] * before + first) & LOWEST
        rows_of_length.append((MULTIPLIERS[1] * code >> 13) % rows)
    return rows_of_length
