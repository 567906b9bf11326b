"""One input that no training can use, and what its error must say."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    name: str
    task: str
    files: dict[str, bytes]
    data: str
    says: list[str]
    options: list[str] = field(default_factory=list)
