"""Settings of forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tidegate.setting.training import Training


@dataclass(kw_only=True)
class Forecast(Training):
    """A forecast of one column of a table."""

    target: str | None = None
    """The column to forecast."""
    hidden_size: int = 32
    dropout: float = 0.0

    task: ClassVar[str] = "forecast"
