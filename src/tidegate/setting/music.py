"""Settings of models of polyphonic music."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tidegate.setting.training import Training


@dataclass(kw_only=True)
class Music(Training):
    """Polyphonic music: which keys sound at the next step."""

    batch_size: int = 16
    learning_rate: float = 1.2e-2
    epochs: int = 60
    patience: int = 8

    task: ClassVar[str] = "music"
