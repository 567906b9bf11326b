"""Settings of language models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from tidegate.setting.training import INFINITY, Range, Training


@dataclass(kw_only=True)
class Language(Training):
    """A language model: the next symbol of a text."""

    embedding_size: int = 32
    """Features by which a symbol enters the recurrent layers."""
    window: int = 64
    """Steps through which gradients flow back; the state itself is carried on without end."""
    learning_rate: float = 8e-3

    task: ClassVar[str] = "language"
    RANGES: ClassVar[Mapping[str, Range]] = {"embedding_size": (1, 1 << 16), "window": (1, INFINITY)}
