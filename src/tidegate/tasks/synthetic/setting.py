"""Settings of generated problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tidegate.train.setting import Range, Training


@dataclass(kw_only=True)
class SyntheticSetting(Training):
    """A generated problem: what can a cell remember, and for how long?"""

    length: int = 200
    """Steps over which something has to be remembered."""
    steps: int = 100
    """Batches in an epoch; every one of them is drawn anew."""
    hidden_size: int = 100
    dropout: float = 0.0
    learning_rate: float = 2e-3

    task: ClassVar[str] = "synthetic"
    RANGES: ClassVar[Mapping[str, Range]] = {"length": (10, 1 << 16), "steps": (1, 1 << 20)}
