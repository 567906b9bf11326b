"""Which tiles multiply in bfloat16: those of this processor, or for a while others of this library."""

from collections.abc import Iterator
from contextlib import contextmanager

from tidegate.runtime import library
from tidegate.runtime.sized import _made
from tidegate.runtime.tiles import runnable


def names() -> list[str]:
    """Those that this processor runs and this library has."""
    try:
        engine = library.load()
    except library.BackendError:
        return []
    ours = [own.name for own in runnable(library.processor(), "bfloat16")]
    found = [name for name in ours if engine.engine.tg_tiles(name.encode())]
    engine.engine.tg_tiles(engine.tiles["bfloat16"].encode())
    return found


@contextmanager
def tiles(name: str) -> Iterator[None]:
    """Layers that are made in the block run with these; sizes of prepared calls follow from them."""
    engine = library.load()
    assert engine.engine.tg_tiles(name.encode()), f"this library has no tiles {name}"
    _made.cache_clear()
    try:
        yield
    finally:
        for chosen in engine.tiles.values():
            engine.engine.tg_tiles(chosen.encode())
        _made.cache_clear()
