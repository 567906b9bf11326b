"""What a language model learns besides weights: its symbols, and the one that precedes every text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from tidegate.plain import typed
from tidegate.tasks.language.model import SymbolModel
from tidegate.tasks.language.setting import LanguageSetting
from tidegate.tasks.language.unit import Unit, from_json, learnt
from tidegate.train.task import Encoding, MakeLayer


@dataclass(frozen=True)
class LanguageEncoding(Encoding[LanguageSetting]):
    """The symbols of the training part; symbol 0 stands for all others.

    Attributes:
        unit: what a symbol is.
        start: the symbol that precedes every text: the end of a line, or the most frequent symbol if training has no
            line ends.
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
        """The number of symbols, including the unknown one."""
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
        encoding = cls(from_json(data.get("unit")), typed(data.get("start"), int, "start"))
        if not 0 < encoding.start < encoding.vocabulary:
            raise ValueError(f"start is {encoding.start}, outside of the {encoding.vocabulary} symbols")
        return encoding
