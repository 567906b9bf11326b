"""Settings of the task ``language``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from tidegate.train.setting import Range, Training

Width = Annotated[int, Range(1, 4096)]  # of a beam


@dataclass(kw_only=True)
class LanguageSetting(Training):
    """Model a language: predict the next symbol of a text."""

    unit: Literal["character", "piece"] = "character"
    """What a symbol is: a character, or a piece of a word found by byte-pair encoding of the training text."""
    pieces: Annotated[int, Range(300, 100_000)] = 1000
    """With unit="piece": largest number of pieces; 256 of them are single bytes."""
    embedding_size: Annotated[int, Range(1, 1 << 16)] = 64
    """Width of the embedding of each symbol."""
    tied: bool = False
    """Use the embedding matrix as the output matrix, too."""
    window: Annotated[int, Range(1, 100_000)] = 64
    """Steps through which gradients flow back; the state is kept from window to window."""
    epoch_size: Annotated[int | None, Range(1)] = None
    """Symbols in an epoch, from passages drawn at random for each epoch. Unless given, an epoch is one pass over the
    text, or several over a short one."""
    scored_size: Annotated[int | None, Range(1)] = None
    """Largest number of symbols scored in validation and in the test; all of them unless given."""
    hidden_size: int = 256
    dropout: float = 0.3
    learning_rate: float = 4e-3
    schedule: Literal["plateau", "cosine", "constant"] = "cosine"
    epochs: int = 12

    _task: ClassVar[str] = "language"
    _fixed: ClassVar[str] = "the symbols that it reads are those that it has to predict"
