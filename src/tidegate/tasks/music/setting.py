"""Settings of models of polyphonic music."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tidegate.train.setting import INFINITY, Range, Training


@dataclass(kw_only=True)
class MusicSetting(Training):
    """Polyphonic music: which keys sound at the next step."""

    steps_per_quarter: int | None = None
    """Steps of the grid in a quarter note; 4 for MIDI files and 1 for piano rolls, unless given."""
    split_seed: int = 0
    """Of the split by pieces, where the data have none of their own."""
    window: int = 200
    """Steps through which gradients flow back; the state of a longer piece is carried on."""
    hidden_size: int = 300
    dropout: float = 0.5
    recurrent_dropout: float = 0.5
    batch_size: int = 16
    learning_rate: float = 8e-3
    epochs: int = 120
    patience: int = 12
    patience_rate: int = 4

    task: ClassVar[str] = "music"
    RANGES: ClassVar[Mapping[str, Range]] = {
        "steps_per_quarter": (1, 48),
        "split_seed": (0, 2**53),
        "window": (1, INFINITY),
    }
