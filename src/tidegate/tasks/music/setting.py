"""Settings of the task ``music``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from tidegate.train.setting import Range, Seed, Training

Grid = Annotated[int | None, Range(1, 48)]  # steps in a quarter note


@dataclass(kw_only=True)
class MusicSetting(Training):
    """Model polyphonic music: predict which keys sound at the next step."""

    steps_per_quarter: Grid = None
    """Time steps per quarter note; unless given, 4 for MIDI files and 1 for piano rolls."""
    split_seed: Seed = 0
    """Seed for splitting the pieces into training, validation and test, unless the data say how."""
    window: Annotated[int, Range(1)] = 200
    """Steps through which gradients flow back; a longer piece keeps its state from window to window."""
    nade_size: Annotated[int, Range(0, 1 << 16)] = 100
    """Hidden units of a head (RNN-NADE) that draws the keys of a step one after the other, each in the light of those
    below it, so that chords fit; 0 draws every key by itself."""
    hidden_size: int = 300
    dropout: float = 0.5
    recurrent_dropout: float = 0.5
    batch_size: int = 16
    learning_rate: float = 8e-3
    epochs: int = 80
    patience: int = 10
    patience_rate: int = 4

    _task: ClassVar[str] = "music"
    _fixed: ClassVar[str] = "a key sounds or it does not, so there is no small change of one"
    _older: ClassVar[Mapping[str, Any]] = {"nade_size": 0}
    _compared: ClassVar[Mapping[str, Any]] = {"nade_size": 0}
    _private: ClassVar[Mapping[str, Any]] = {**Training._private, "recurrent_dropout": 0.0}  # noqa: SLF001  its own
