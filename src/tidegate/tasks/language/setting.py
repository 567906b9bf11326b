"""Settings of language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from tidegate.train.setting import INFINITY, Range, Training


@dataclass(kw_only=True)
class LanguageSetting(Training):
    """A language model: the next symbol of a text."""

    unit: Literal["character", "piece"] = "character"
    """What a symbol is: a character, or a piece of a word, found by merging frequent pairs of the training text."""
    pieces: int = 1000
    """With --unit piece: how many there are at most, 256 of them single bytes."""
    embedding_size: int = 64
    """Features by which a symbol enters the recurrent layers."""
    tied: bool = False
    """The output matrix is the embedding's."""
    window: int = 64
    """Steps through which gradients flow back; the state itself is carried on without end."""
    epoch_size: int | None = None
    """Symbols learnt from in an epoch, at places drawn anew; unless given the whole text, a short one several times."""
    scored_size: int | None = None
    """Symbols scored at most in validation and in the test; unless given all."""
    hidden_size: int = 256
    dropout: float = 0.3
    learning_rate: float = 4e-3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    epochs: int = 12

    task: ClassVar[str] = "language"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "pieces": (300, 100_000),
        "embedding_size": (1, 1 << 16),
        "window": (1, 100_000),
        "epoch_size": (1, INFINITY),
        "scored_size": (1, INFINITY),
    }
