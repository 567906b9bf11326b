"""What a language model knows beside its weights: its symbols, and the one that a text begins behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.unit import Unit, from_json, learnt
from tidegate.train.task import Encoding, MakeLayer


@dataclass(frozen=True)
class LanguageEncoding(Encoding[LanguageSetting]):
    """The symbols of the training part; symbol 0 stands for all others.

    Attributes:
        unit: what a symbol is.
        start: the symbol behind which a text begins that has nothing before it: the line's end, or where
            training has none the most frequent symbol.
    """

    unit: Unit
    start: int

    @classmethod
    def learn(cls, text: str, setting: LanguageSetting) -> Self:
        """The encoding of a training text."""
        unit = learnt(setting.unit, text, setting.pieces)
        symbols = unit.encode(text)
        line = unit.encode("\n")
        start = int(line[-1]) if len(line) and line[-1] in symbols else int(np.bincount(symbols).argmax())
        return cls(unit, start)

    @property
    def vocabulary(self) -> int:
        """How many symbols there are, the unknown one included."""
        return len(self.unit.content)

    def encode(self, text: str) -> torch.Tensor:
        """The symbols of a text, [symbols] int64."""
        return torch.from_numpy(self.unit.encode(text))

    def model(self, layer: MakeLayer, setting: LanguageSetting) -> SymbolModel:
        return SymbolModel(self.vocabulary, layer, setting)

    def to_json(self) -> dict[str, Any]:
        return {"unit": {self.unit.name: self.unit.to_json()}, "start": self.start}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        made = cls(from_json(data["unit"]), int(data["start"]))
        if not 0 < made.start < made.vocabulary:
            raise ValueError(f"start is {made.start}, outside of the {made.vocabulary} symbols")
        return made
