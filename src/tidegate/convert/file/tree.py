"""Arrays in nested dictionaries and lists, by their paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(value: Any, kind: type[Any], path: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Any]]:
    """Every value of a kind below a value, with its path in dots; of containers met twice the first path.

    Args:
        value: mappings and lists in each other; anything else is passed over.
        kind: what is wanted.
        path: of the value.
        seen: containers that were met already.
    """
    seen = set() if seen is None else seen
    if isinstance(value, kind):
        yield path, value
    elif isinstance(value, (Mapping, list, tuple)) and id(value) not in seen:
        seen.add(id(value))
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in pairs:
            yield from leaves(inner, kind, f"{path}.{key}".lstrip("."), seen)
