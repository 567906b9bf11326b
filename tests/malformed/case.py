"""One file that cannot be used, and what must be said about it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    name: str
    task: str
    files: dict[str, bytes]
    data: str
    says: list[str]
    options: list[str] = field(default_factory=list)
