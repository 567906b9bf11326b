"""What readers of labelled sequences take and return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Label = str | int | float | bool
Values = NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        text, label: columns of a table; unless given, recognised by common names.
        label_end: a class ends before this string.
        encoding: of text files.
        flat: read [N, H, W] arrays as H * W steps.
        labelled: whether each sequence must have a class.
        classes: of a trained model, which are removed from the beginning of lines.
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
        items: texts, or series [T, C], where NaN marks a channel without any value.
        labels: one for each item, or none.
        warnings: what was filled, left out or cut off.
    """

    items: tuple[Any, ...]
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()

    @property
    def textual(self) -> bool:
        """Whether the items are texts."""
        return isinstance(self.items[0], str)
