"""What readers of labelled sequences give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Label = str | int | float | bool
Values = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """How a file is to be read.

    Attributes:
        text, label: columns of a table; found by their names unless given.
        label_end: a class ends before this.
        encoding: of text files.
        flat: read [N, H, W] arrays as H * W steps.
        labelled: whether each sequence must have a class.
        classes: of a trained model; lines that begin with one of them are not read as a part of the text.
    """

    text: str | None = None
    label: str | None = None
    label_end: str | None = None
    encoding: str = "utf-8"
    flat: bool = False
    labelled: bool = True
    classes: tuple[Label, ...] = ()


@dataclass(frozen=True)
class Labelled:
    """Sequences and their classes.

    Attributes:
        items: texts, or series as [T, C] numbers, NaN only where a series lacks a channel altogether.
        labels: as many, or none.
        warnings: what was filled, left out or cut.
    """

    items: tuple[Any, ...]
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()

    @property
    def textual(self) -> bool:
        """Whether these are texts."""
        return isinstance(self.items[0], str)
