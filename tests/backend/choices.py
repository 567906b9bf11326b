"""The choices of a processor, for a while others."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.runtime import library
from tidegate.runtime.sized import _made


@contextmanager
def choices(**changed: int) -> Iterator[None]:
    """Layers that are made in the block run with these fields of ``runtime.tuning.Tuning``."""
    engine = library.load()
    before = engine.tuning
    engine.tuning = before._replace(**changed)
    _made.cache_clear()
    try:
        yield
    finally:
        engine.tuning = before
        _made.cache_clear()
