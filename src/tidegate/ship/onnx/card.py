"""What a shipped file says of itself."""
from __future__ import annotations
from typing import Any

class Card:
    def __init__(self, layer: Any) -> None:
        self.layer = layer
        self.lowerings: list[str] = []
    def properties(self) -> dict[str, str]:
        return {"tidegate.lowering": "\n".join(self.lowerings)}
