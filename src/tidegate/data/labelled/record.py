"""What readers of labelled sequences take and return."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from tidegate.data.number import Decimal
from tidegate.data.reading import Dating
from tidegate.errors import InputError

Label = str | int | float | bool
KINDS: dict[type, str] = {str: "texts", bool: "true or false", int: "numbers", float: "numbers"}
LONGEST = 1000  # characters of a class; more would widen every table and message
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
Values = NDArray[Any]


@dataclass(frozen=True)
class Columns:
    """How a table with a row for each step was read, which a trained model does again.

    Attributes:
        names: of the columns with values, in the order of the channels.
        form, zone: how times are written, as ``Dating`` has them; empty without times.
        decimal: the decimal mark; None if no number has one.
    """

    names: tuple[str, ...]
    form: str = ""
    zone: str = ""
    decimal: Decimal | None = None


@dataclass(frozen=True)
class Layout:
    """How to read a file.

    Attributes:
        text, label: columns of a table; unless given, recognised by common names.
        separator: what stands between the cells of a table; unless given, found from all rows.
        label_end: a class ends before this string.
        encoding: of text files.
        flat: read [N, H, W] arrays as H * W steps.
        labelled: whether each sequence must have a class.
        classes: of a trained model, which are removed from the beginning of lines.
        series: the column that names the series of each row, of a table with a row for each step.
        time: the column of times in such a table, or several as ``with_times`` reads them.
        dating: how times are read.
        decimal: the decimal mark of such a table; unless given, found from all rows.
        columns: how a trained model has read its training data.
        owner: the column whose values say whom a row belongs to.
    """

    text: str | None = None
    label: str | None = None
    separator: str | None = None
    label_end: str | None = None
    encoding: str = "utf-8"
    flat: bool = False
    labelled: bool = True
    classes: tuple[Label, ...] = ()
    series: str | None = None
    time: str | None = None
    dating: Dating = field(default_factory=Dating)
    decimal: Decimal | None = None
    columns: Columns | None = None
    owner: str | None = None


@dataclass(frozen=True)
class Labelled:
    """Sequences and their classes.

    Attributes:
        items: texts; series [T, C] of numbers; ``Gapped`` series.
        labels: one for each item, or none.
        warnings: what is missing, was left out or cut off.
        names: of the series, where a column has them.
        columns: how a table with a row for each step was read.
        owners: whom each item belongs to, where a column was named.
    """

    items: tuple[Any, ...]
    labels: tuple[Label, ...]
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    columns: Columns | None = None
    owners: tuple[str, ...] = ()

    @property
    def textual(self) -> bool:
        """Whether the items are texts."""
        return isinstance(self.items[0], str)


def check_labels(title: str, labels: Sequence[Label], place: Callable[[int], str]) -> None:
    """Check that classes are short, printable and all of one type.

    Args:
        title: of the data, for errors.
        labels: the classes.
        place: where the class of an index is.

    Raises:
        InputError: they are not.
    """
    distinct: dict[tuple[type, Label], int] = {}  # True and 1 are equal
    for index, label in enumerate(labels):
        distinct.setdefault((type(label), label), index)
    first: dict[str, int] = {}
    for (kind, label), index in distinct.items():
        first.setdefault(KINDS[kind], index)
        problem = _problem(label)
        if problem:
            raise InputError(
                "LABELLED_LABEL",
                f"the class in {place(index)} of {title} {problem}",
                fix="correct it, or name another column with label=COLUMN",
            )
    if len(first) > 1:
        kinds = ", ".join(f"{name} ({json.dumps(labels[index])} in {place(index)})" for name, index in first.items())
        raise InputError(
            "LABELLED_TYPES",
            f"the classes of {title} are of {len(first)} types: {kinds}",
            fix="write all of them as texts, or all as numbers",
        )


def _problem(label: Label) -> str:
    if isinstance(label, float) and not math.isfinite(label):
        return f"is {label}, not a finite number"
    if isinstance(label, int) and label.bit_length() > 4 * LONGEST:  # Python prints no number of 4,300 digits
        return f"is a number of more than {LONGEST:,} digits"
    text = str(label)
    if len(text) > LONGEST:
        return f"has {len(text):,} characters, more than {LONGEST:,}: {text[:40]!r}..."
    odd = UNPRINTABLE.search(text)
    return f"contains the control character {odd[0]!r}: {text[:40]!r}" if odd else ""
