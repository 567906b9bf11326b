"""Settings of the generated problems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from tidegate.train.setting import Range, Training


@dataclass(kw_only=True)
class SyntheticSetting(Training):
    """A generated problem: what can a cell remember, and for how long?"""

    length: Annotated[int, Range(10, 1 << 16)] = 200
    """Number of steps that a cell must bridge."""
    steps: Annotated[int, Range(1, 1 << 20)] = 100
    """Freshly drawn batches in an epoch."""
    hidden_size: int = 100
    dropout: float = 0.0
    learning_rate: float = 2e-3
    epochs: int = 40
    patience: int = 40
    patience_rate: int = 8

    _task: ClassVar[str] = "synthetic"
    _fixed: ClassVar[str] = "its problems are drawn anew in every batch"
