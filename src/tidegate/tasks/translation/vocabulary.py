"""Texts as numbered units: words, characters, pieces or symbols, and back."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Literal, Self

import sentencepiece
import torch

from tidegate.data.piece import BLANK, learn_pieces
from tidegate.plain import typed

UNKNOWN, BEGIN, END = range(3)
SPECIAL = 3  # numbers below it stand for no unit of a text
WORD = re.compile(r" ?\w+['\N{RIGHT SINGLE QUOTATION MARK}]?| ?[^\w\s]")

UnitKind = Literal["word", "character", "piece", "symbol"]


@dataclass(frozen=True)
class Vocabulary:
    """The units of one side of the training pairs.

    Words include the blank before them, so that joining them restores the text. A word that occurs only once in
    training counts as unknown, so that the model learns what unknown words are like.

    Attributes:
        unit: the kind of unit.
        units: the known units, numbered from ``SPECIAL``.
        folded: whether texts are put into lower case, because no training text has a capital.
        model: the sentencepiece model in base 64; empty unless the unit is ``"piece"``.
    """

    unit: UnitKind
    units: tuple[str, ...]
    folded: bool
    model: str = ""

    @classmethod
    def learn(cls, texts: Sequence[str], unit: UnitKind, most: int) -> Self:
        """The units of the texts; words and pieces are at most ``most``."""
        folded = all(text == text.lower() for text in texts)
        model = _pieces(texts, most) if unit == "piece" else ""
        empty = cls(unit, (), folded, model)
        counts = Counter(chain.from_iterable(empty.cut(text) for text in texts))
        if unit == "word":
            repeated = {word: count for word, count in counts.items() if count > 1}
            counts = Counter(repeated or counts)
        ranked = sorted(counts, key=lambda part: (-counts[part], part))
        return cls(unit, tuple(ranked[:most] if unit == "word" else ranked), folded, model)

    def __len__(self) -> int:
        return SPECIAL + len(self.units)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each unit."""
        return {unit: number for number, unit in enumerate(self.units, SPECIAL)}

    def cut(self, text: str) -> list[str]:
        """The units of a text, known or not."""
        return self._cut(text.lower() if self.folded else text)

    @cached_property
    def _cut(self) -> Callable[[str], list[str]]:
        if self.unit == "piece":
            processor = sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(self.model, validate=True))
            return lambda text: list(processor.encode(text, out_type=str))
        return {"word": lambda text: WORD.findall(f" {text}"), "character": list, "symbol": str.split}[self.unit]

    def encode(self, units: Iterable[str]) -> torch.Tensor:
        """Numbers of units, then ``END``: [units + 1] int64."""
        return torch.tensor([*(self.numbers.get(unit, UNKNOWN) for unit in units), END])

    def unit_of(self, number: int) -> str:
        """The unit of a number."""
        return self.units[number - SPECIAL]

    def join(self, units: Iterable[str]) -> str:
        """The text made of these units."""
        text = (" " if self.unit == "symbol" else "").join(units)
        return (text.replace(BLANK, " ") if self.unit == "piece" else text).strip()

    def to_json(self) -> dict[str, Any]:
        return {"unit": self.unit, "units": list(self.units), "folded": self.folded, "model": self.model}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Restore a vocabulary.

        Raises:
            InputError, RuntimeError, ValueError: ``data`` does not describe a vocabulary.
        """
        vocabulary: Self = typed(data, cls, "vocabulary")
        vocabulary.cut("")  # raises if the model is damaged
        return vocabulary


def _pieces(texts: Sequence[str], most: int) -> str:
    """A unigram model of sentencepiece, in base 64."""
    model = learn_pieces(
        texts,
        most,
        "change source_vocabulary= and target_vocabulary=, or choose words or characters with source_unit= and "
        "target_unit=",
        model_type="unigram",
        character_coverage=1.0,
        max_sentence_length=1 << 20,
    )
    return base64.b64encode(model).decode()
