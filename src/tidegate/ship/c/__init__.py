"""C99 of layers: plain float arithmetic, the same bits on every machine."""

from tidegate.ship.c.source import Source, c

__all__ = ["Source", "c"]
