"""n-grams of texts, weighed by how rare they are, and how often each occurs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch

LETTERS = (3, 6)  # lengths of the shortest and longest n-grams within a word
NOTHING, END, FIRST = 0, 1, 2  # symbols: padding; either end of a text or word; the first of its own symbols
MULTIPLIERS = (0x9E3779B1, 0x85EBCA6B)  # odd, below 2^32, so that products with 31 bits stay below 2^63
LOWEST = (1 << 31) - 1
TERMS = 1 << 19  # most n-grams of a kind that are kept
NUMBERS = 1 << 23  # most numbers in the linear map of a kind


class Occurrences(NamedTuple):
    """How often each n-gram occurs in each text.

    Attributes:
        texts: [P] int64, ascending.
        codes: [P] int64 of the n-grams, ascending within a text; below 2^31.
        counts: [P] int64.
        size: the number of texts.
    """

    texts: torch.Tensor
    codes: torch.Tensor
    counts: torch.Tensor
    size: int

    @classmethod
    def of(cls, texts: torch.Tensor, grams: torch.Tensor, size: int) -> Self:
        """Count n-grams.

        Args:
            texts: [G] the text of each n-gram, in any order.
            grams: [G] the codes.
            size: the number of texts.
        """
        pairs, counts = torch.unique((texts << 31) + grams, return_counts=True)
        return cls(pairs >> 31, pairs & LOWEST, counts, size)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of several groups of texts, one after the other."""
        sizes = torch.tensor([0, *(part.size for part in parts)]).cumsum(0).tolist()
        texts = torch.cat([part.texts + before for part, before in zip(parts, sizes, strict=False)])
        codes, counts = torch.cat([part.codes for part in parts]), torch.cat([part.counts for part in parts])
        return cls(texts, codes, counts, sizes[-1])

    def taken(self, rows: torch.Tensor) -> Occurrences:
        """Those of some texts, in their order.

        Args:
            rows: [N] int64.
        """
        ends = torch.bincount(self.texts, minlength=self.size).cumsum(0)
        sizes = torch.diff(ends, prepend=ends.new_zeros(1))[rows]
        texts = torch.arange(len(rows)).repeat_interleave(sizes)
        first = (ends[rows] - sizes).repeat_interleave(sizes)
        places = first + torch.arange(len(texts)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
        return Occurrences(texts, self.codes[places], self.counts[places], len(rows))


class Terms(torch.nn.Module):
    """The n-grams that count, and their weights.

    Equations:
        idf = 1 + ln((1 + N) / (1 + n)), n of N texts to learn from have the n-gram;
        value = (1 + ln count) idf, then divided by the Euclidean length of all values of the text

    Of very many n-grams, those that most texts have are kept. An n-gram is known by a code of 31 bits.

    Args:
        count: the number of n-grams.

    References:
        Salton and Buckley 1988, doi 10.1016/0306-4573(88)90021-0.
    """

    codes: torch.Tensor
    idf: torch.Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(count, dtype=torch.int32))
        self.register_buffer("idf", torch.zeros(count))

    @classmethod
    def of(cls, seen: Occurrences, kinds: int) -> Self:
        """The n-grams of texts to learn from, in float64.

        Args:
            seen: in these texts.
            kinds: the number of classes.
        """
        found, texts = torch.unique(seen.codes, return_counts=True)
        kept = texts.argsort(descending=True, stable=True)[: min(TERMS, NUMBERS // kinds)].sort().values
        made = cls(len(kept))
        made.codes = found[kept].int()
        made.idf = 1 + ((1 + seen.size) / (1 + texts[kept].double())).log()
        return made

    def forward(self, found: Occurrences) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The texts, the places among the n-grams, and the values of all that are not zero."""
        grams = found.codes.int()
        places = torch.searchsorted(self.codes, grams).clamp(max=len(self.codes) - 1)
        there = self.codes[places] == grams
        texts, places = found.texts[there], places[there]
        values = (1 + found.counts[there].to(self.idf.dtype).log()) * self.idf[places]
        squares = values.new_zeros(found.size).index_add(0, texts, values.square())
        return texts, places, values / squares.sqrt()[texts]


@dataclass(frozen=True)
class Ngrams:
    """Which n-grams there are.

    Attributes:
        longest: length of the longest n-gram of units.
        units: the number of n-grams of units.
        letters: the number of n-grams within words; 0 where they are not counted.
    """

    longest: int
    units: int
    letters: int

    def __post_init__(self) -> None:
        if self.longest < 1 or self.units < 1 or self.letters < 0:
            raise ValueError("there are no n-grams")


def of_units(units: torch.Tensor, lengths: torch.Tensor, longest: int) -> Occurrences:
    """The n-grams of 1 to ``longest`` units, with both ends of each text.

    Args:
        units: [S] characters, or [S, 1 + L] words each followed by its letters, of all texts one after the other.
        lengths: [N] units of each text.
        longest: length of the longest n-gram.
    """
    own = units + FIRST if units.dim() == 1 else spelt(units[:, 1:])
    ends = (lengths + 2).cumsum(0)
    place = torch.arange(int(ends[-1])) - (ends - lengths - 2).repeat_interleave(lengths + 2)
    symbols = torch.full((len(place),), END)
    symbols[(place > 0) & (place <= lengths.repeat_interleave(lengths + 2))] = own.long()
    texts = torch.arange(len(lengths)).repeat_interleave(lengths + 2)
    return _counted(grams(symbols, place, 1, longest), texts, len(lengths))


def of_letters(units: torch.Tensor, lengths: torch.Tensor) -> Occurrences:
    """The n-grams of 3 to 6 letters within words, with both ends of each word.

    Args:
        units: [S, 1 + L] words each followed by its letters.
        lengths: [N] words of each text.
    """
    there = units[:, 1:] != NOTHING
    words, place = there.nonzero(as_tuple=True)
    texts = torch.arange(len(lengths)).repeat_interleave(lengths)[words]
    return _counted(grams(units[:, 1:][there].long(), place, *LETTERS), texts, len(lengths))


def spelt(letters: torch.Tensor) -> torch.Tensor:
    """[S, L] letters to [S] a code of each word."""
    code = torch.zeros(len(letters), dtype=torch.int64)
    for column in letters.long().unbind(1):
        code = torch.where(column == NOTHING, code, (MULTIPLIERS[1] * code + column) & LOWEST)
    return code


def grams(
    symbols: torch.Tensor, place: torch.Tensor, shortest: int, longest: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The codes of n-grams, and where they end.

    Equations:
        code_1[s] = x[s];  code_n[s] = (a code_{n-1}[s-1] + x[s]) mod 2^31

    Args:
        symbols: [S] int64 of all sequences, one after the other.
        place: [S] of each in its sequence.
        shortest: length of the shortest n-gram.
        longest: length of the longest n-gram.
    """
    code = symbols
    for n in range(1, longest + 1):
        if n >= shortest:
            at = (place >= n - 1).nonzero()[:, 0]
            yield code[at], at
        code = (MULTIPLIERS[0] * torch.cat([code.new_zeros(1), code[:-1]]) + symbols) & LOWEST


def _counted(found: Iterator[tuple[torch.Tensor, torch.Tensor]], texts: torch.Tensor, size: int) -> Occurrences:
    own, ends = zip(*found, strict=True)
    return Occurrences.of(texts[torch.cat(ends)], torch.cat(own), size)
