"""Files that were made to do harm: to run code, to read other files, to fill the memory, to take for ever."""

from collections.abc import Iterator
from pathlib import Path

from benchmarks.files.damage import Bad
from benchmarks.files.malice.archive import archives, tensors
from benchmarks.files.malice.code import pickles
from benchmarks.files.malice.graph import models
from benchmarks.files.malice.layered import keras
from benchmarks.files.malice.text import records, texts

__all__ = ["malicious"]


def malicious(canary: Path) -> Iterator[Bad]:
    """All of them.

    Args:
        canary: a file that appears if code in one of them was run; beside it lies ``secret``, which none may read.
    """
    yield from pickles(canary)
    yield from archives(canary)
    yield from tensors()
    yield from models(canary)
    yield from keras(canary)
    yield from texts()
    yield from records()
