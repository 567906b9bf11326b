"""Edits of texts that a gradient points at: of characters or of words, as texts again."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import torch

from tidegate.adversary.edit import DELETE, EXCHANGE, INSERT, SUBSTITUTE, Rules, estimates
from tidegate.tasks.classification.encoding import UNKNOWN, WORD, Vocabulary

Level = Literal["chars", "words"]

NEAR = 8  # words that a word may become
PLAIN = 50  # words that may be put in
UNKNOWNS = 6  # spellings of a word that the model does not know, of which the loss is computed


class Proposal(NamedTuple):
    """One edit.

    Attributes:
        row: of the text.
        text: edited.
    """

    row: int
    text: str


@dataclass(frozen=True)
class Editor:
    """What counts as one edit of a text that a vocabulary reads.

    Attributes:
        reading: the vocabulary.
        level: what is edited.
        features: [units, E] the embeddings of its units.
    """

    reading: Vocabulary
    level: Level
    features: torch.Tensor

    @property
    def says(self) -> str:
        """What an edit is, in words."""
        if self.level == "words":
            return (
                f"an edit puts one of the {NEAR} words with the nearest embeddings in the place of a word, takes one "
                f"out, or puts in one of the {PLAIN} most frequent words"
            )
        place = "anywhere" if self.reading.unit == "character" else "within a word"
        return (
            f"an edit puts a character in, puts one in the place of another, takes one out, or exchanges neighbours, "
            f"{place}; characters are those that training has and that print: none is unknown, invisible or combining"
        )

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The characters that may be written."""
        return tuple(dict.fromkeys(symbol for unit in self.reading.units for symbol in unit if printed(symbol)))

    @cached_property
    def rules(self) -> Rules:
        """What counts as an edit of units."""
        if self.level == "words":
            plain = torch.arange(1, 1 + min(PLAIN, len(self.reading.units)))
            return Rules(self._near, plain, self.features, exchange=False)
        known = torch.from_numpy(self.reading.numbers(self.symbols))
        return Rules(known[None], known, self.features)

    @cached_property
    def _near(self) -> torch.Tensor:
        """[units, K] the units with the most similar embeddings; an unknown one stays unknown."""
        unit = torch.nn.functional.normalize(self.features, dim=1)
        count = min(NEAR, len(unit) - 2)
        parts = []
        for rows in torch.arange(len(unit)).split(1024):
            alike = unit[rows] @ unit.T
            alike[torch.arange(len(rows)), rows] = -2.0
            alike[:, UNKNOWN] = -2.0
            parts.append(alike.topk(count, dim=1).indices)
        near = torch.cat(parts)
        near[UNKNOWN] = UNKNOWN
        return near

    def proposals(self, texts: Sequence[str], slope: torch.Tensor, most: int) -> Iterator[Proposal]:
        """The edits that raise a loss the most, to first order.

        Args:
            texts: to be edited.
            slope: [T, B, E] the gradient of the loss of each in the embeddings of its units.
            most: edits of each kind.
        """
        units, lengths = self.read(texts)
        if self.level == "chars" and self.reading.unit == "word":
            yield from self._spelt(texts, slope, units, lengths, most)
            return
        found, gain = estimates(units, lengths, slope, self.rules, most)
        del gain
        for row, kind, place, unit in zip(*(part.tolist() for part in found), strict=True):
            yield Proposal(row, self.written(texts[row], kind, place, unit))

    def read(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """[T, B] units, and their lengths [B]."""
        read = [self.reading.encode(text) for text in texts]
        rows = [row if row.dim() == 1 else row[:, 0].long() for row in read]
        return torch.nn.utils.rnn.pad_sequence(rows), torch.tensor(list(map(len, rows)))

    def written(self, text: str, kind: int, place: int, unit: int) -> str:
        """A text after an edit of one of its units."""
        new = self.reading.units[unit - 1] if kind in (SUBSTITUTE, INSERT) else ""
        if self.level == "chars":
            after = {SUBSTITUTE: place + 1, INSERT: place, DELETE: place + 1, EXCHANGE: place + 2}[kind]
            new = text[place + 1] + text[place] if kind == EXCHANGE else new
            return text[:place] + new + text[after:]
        spans = [match.span() for match in WORD.finditer(text)]
        if kind == INSERT and place >= len(spans):
            return f"{text} {new}"
        begin, end = spans[place]
        if kind == INSERT:
            return f"{text[:begin]}{new} {text[begin:]}"
        if kind == SUBSTITUTE:
            return text[:begin] + new + text[end:]
        return (text[:begin].rstrip() + " " + text[end:].lstrip()).strip()

    def _spelt(
        self, texts: Sequence[str], slope: torch.Tensor, units: torch.Tensor, lengths: torch.Tensor, most: int
    ) -> Iterator[Proposal]:
        """Edits of characters within words."""
        for row, text in enumerate(texts):
            made = []
            spans = [match.span() for match in WORD.finditer(text)]
            for place, (begin, end) in enumerate(spans[: int(lengths[row])]):
                word, own, pull = text[begin:end], int(units[place, row]), slope[place, row]
                if not word[0].isalnum():
                    continue
                spellings = list(dict.fromkeys(self.spellings(word)))
                numbers = self.reading.numbers([spelling.casefold() for spelling in spellings])
                gains = (self.features[torch.from_numpy(numbers)] - self.features[own]) @ pull
                known = [k for k, number in enumerate(numbers) if number not in (UNKNOWN, own)]
                strange = [k for k, number in enumerate(numbers) if number == UNKNOWN]
                strange = strange[:: max(1, len(strange) // UNKNOWNS)][:UNKNOWNS]
                made += [
                    (float(gains[k]), Proposal(row, text[:begin] + spellings[k] + text[end:])) for k in known + strange
                ]
            made.sort(key=lambda one: -one[0])
            yield from (proposal for _, proposal in made[: 4 * most])

    def spellings(self, word: str) -> Iterator[str]:
        """A word after each edit of one character."""
        letters = [symbol for symbol in self.symbols if symbol.isalnum()]
        for place in range(len(word)):
            if len(word) > 1:
                yield word[:place] + word[place + 1 :]
            if place + 1 < len(word):
                yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
            for letter in letters:
                yield word[:place] + letter + word[place + 1 :]
                yield word[:place] + letter + word[place:]


def printed(symbol: str) -> bool:
    """Whether a character is seen as one of its own: a blank is, but no control, format or combining character."""
    return symbol == " " or unicodedata.category(symbol)[0] in "LNPS"


def every(editor: Editor, text: str) -> Iterator[str]:
    """A text after every single edit."""
    units, lengths = editor.read([text])
    if editor.level == "chars" and editor.reading.unit == "word":
        for begin, end in (match.span() for match in WORD.finditer(text)):
            yield from (text[:begin] + word + text[end:] for word in editor.spellings(text[begin:end]))
        return
    flat = torch.zeros(*units.shape, editor.features.shape[1])
    found, _ = estimates(units, lengths, flat, editor.rules, most=1 << 30)
    for kind, place, unit in zip(*(part.tolist() for part in found[1:]), strict=True):
        yield editor.written(text, kind, place, unit)
