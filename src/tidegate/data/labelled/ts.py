"""Series and their classes from ``.ts`` files, the format of the UCR and UEA archives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tidegate.data.labelled.gap import observed
from tidegate.data.labelled.record import Labelled, Layout
from tidegate.data.labelled.stamped import BETWEEN, FORM, joined, pairs, rising
from tidegate.data.source import Source
from tidegate.data.text import decode, split_lines
from tidegate.errors import InputError

MISSING = frozenset({"?", "nan", ""})
LARGEST = 1e30  # squares of larger numbers overflow float32

Floats = NDArray[np.float64]


@dataclass
class _Header:
    """The values of the ``@`` lines; None if there is no such line."""

    classes: list[str] = field(default_factory=list)
    labelled: bool | None = None
    dimensions: int | None = None
    steps: int | None = None
    stamped: bool = False


def read_ts(source: Source, layout: Layout) -> Labelled:
    """Read a header of ``@`` lines, ``@data``, then a series on each line.

    ``:`` separates channels, ``,`` steps; the class comes last; ``?`` is a missing value. Series may differ in length;
    final steps without a value in any channel are padding. With ``@timeStamps true`` each step of a channel is
    ``(time,value)``, and a channel has no value at the times of others.

    Raises:
        InputError: the header or a line is invalid; the message names the line.
    """
    lines = split_lines(decode(source))
    header, first = _header(source, lines, layout)
    numbered = [(n, line.strip()) for n, line in enumerate(lines[first:], first + 1) if line.strip()]
    rows = [_row(source, number, line, header) for number, line in numbered if not line.startswith("#")]
    if not rows:
        raise InputError("TS_EMPTY", f"{source.title} has no series below @data", fix="add a line for each series")
    times = [own for _, own, _ in rows if own is not None] if header.stamped else None
    items, warnings = observed([values for values, _, _ in rows], times)
    labels = tuple(label for _, _, label in rows if label is not None)
    return Labelled(items, labels if layout.labelled else (), warnings)


def _header(source: Source, lines: list[str], layout: Layout) -> tuple[_Header, int]:
    """The header, and the index of the first line below ``@data``."""
    header = _Header()
    for number, line in enumerate(map(str.strip, lines), 1):
        key, *values = line.split() or [""]
        match key.casefold():
            case "@data":
                _check_labelled(source, header, layout)
                return header, number
            case "@classlabel":
                header.labelled, header.classes = values[:1] == ["true"], values[1:]
            case "@timestamps":
                header.stamped = [value.casefold() for value in values] == ["true"]
            case "@targetlabel" if values[:1] == ["true"]:
                raise _error(source, number, "declares numeric targets", "pass a file with @classLabel true")
            case "@univariate" if values == ["true"]:
                header.dimensions = 1
            case "@dimensions" | "@dimension":
                header.dimensions = _count(source, number, values)
            case "@serieslength":
                header.steps = _count(source, number, values)
            case _ if line and line[0] not in "#@":
                raise _error(source, number, f"is {line[:30]!r}, above @data", "begin it with # or @")
    raise InputError("TS_HEADER", f"{source.title} has no line @data", fix="write @data above the first series")


def _check_labelled(source: Source, header: _Header, layout: Layout) -> None:
    if layout.labelled and not header.labelled:
        problem = "declares @classLabel false" if header.labelled is False else "has no line @classLabel"
        raise InputError("TS_HEADER", f"{source.title} {problem}", fix="write @classLabel true and the classes")


def _count(source: Source, number: int, values: list[str]) -> int:
    if len(values) == 1 and values[0].isascii() and values[0].isdigit() and 0 < int(values[0]) < 1 << 31:
        return int(values[0])
    raise _error(source, number, "does not end in a count", "write a whole number above 0")


def _row(source: Source, number: int, line: str, header: _Header) -> tuple[Floats, Floats | None, str | None]:
    """The values [T, C] of a series, the times of its steps and its class."""
    channels = BETWEEN.split(line) if header.stamped else line.split(":")
    label = channels.pop().strip() if header.labelled else None
    if label is not None and header.classes and label not in header.classes:
        known = ", ".join(header.classes[:20])
        raise _error(source, number, f"has the undeclared class {label[:30]!r}", f"use one of @classLabel: {known}")
    if len(channels) != (header.dimensions or len(channels)) or not channels:
        problem = f"has {len(channels)} channels, but the header declares {header.dimensions or 'at least 1'}"
        raise _error(source, number, problem, "separate channels by colons, the class last")
    if header.stamped:
        times, whole = joined(*_stamped(source, number, channels))
        return whole, times, label
    values = [_channel(source, number, index, text.split(",")) for index, text in enumerate(channels, 1)]
    steps = {len(channel) for channel in values}
    if len(steps) > 1:
        raise _error(source, number, f"has channels of {min(steps)} to {max(steps)} steps", "make them equally long")
    if header.steps is not None and steps != {header.steps}:
        raise _error(
            source, number, f"has {steps.pop()} steps, but the header declares {header.steps}", "correct one of them"
        )
    return np.stack(values, axis=1), None, label


def _stamped(source: Source, number: int, channels: list[str]) -> tuple[list[Floats], list[Floats]]:
    """The times and the values of each channel."""
    times, values = [], []
    for index, text in enumerate(channels, 1):
        try:
            moments, cells = pairs(text)
            times.append(rising(moments))
        except ValueError as error:
            raise _error(source, number, f"has in channel {index} {error}", FORM) from None
        values.append(_channel(source, number, index, cells))
    return times, values


def _channel(source: Source, number: int, index: int, raw: list[str]) -> Floats:
    cells = [cell.strip() for cell in raw]
    try:
        values = np.array([np.nan if cell.casefold() in MISSING else float(cell) for cell in cells])
    except ValueError:
        bad = next(cell for cell in cells if cell.casefold() not in MISSING and not _number(cell))
        what = f"has {bad[:30]!r} in channel {index}, which is not a number"
        raise _error(source, number, what, "write numbers, or ? where one is missing") from None
    if (np.abs(values) > LARGEST).any():
        raise _error(source, number, f"has an infinite or too large number in channel {index}", "correct it")
    return values


def _number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _error(source: Source, number: int, what: str, fix: str) -> InputError:
    return InputError("TS_FORMAT", f"line {number} of {source.title} {what}", fix=fix)
