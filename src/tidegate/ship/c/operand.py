"""How values of a flow are read in C: element by element, or by a pointer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidegate.emit.c99 import number
from tidegate.emit.equation import ATOM, SUM, TERM, Piece

Index = int | str  # a place that is known, or an expression of the loop


@dataclass(frozen=True)
class Operand:
    """A value.

    Attributes:
        width: how many numbers it has.
        at: the text of one of them, and how tightly it binds.
        pointer: to all of them in order; "" where they lie nowhere.
    """

    width: int
    at: Callable[[Index], Piece]
    pointer: str = ""


def scalar(text: str) -> Operand:
    """One number that has a name."""
    return Operand(1, lambda _: (text, ATOM), f"&{text}")


def fixed(value: float) -> Operand:
    """One number that is known."""
    return Operand(1, lambda _: (number(value), ATOM if value >= 0 else SUM))


def array(name: str, width: int) -> Operand:
    """Numbers side by side."""
    return Operand(width, lambda i: (f"{name}[{i}]", ATOM), name)


def part(whole: Operand, indices: Sequence[int], listed: Callable[[], str]) -> Operand:
    """Some numbers of a value.

    Args:
        whole: the value.
        indices: their places.
        listed: makes an array of the places, and says what it is called; asked only where no formula is.
    """
    width, first = len(indices), indices[0]
    in_order = list(indices) == list(range(first, first + width))
    pointer = (f"{whole.pointer} + {first}" if first else whole.pointer) if in_order and whole.pointer else ""
    if pointer and width == 1 and whole.width > 1:
        pointer = f"&{whole.at(first)[0]}"
    place = _formula(indices) or _table(listed())
    return Operand(width, lambda i: whole.at(indices[i] if isinstance(i, int) else place(i)), pointer)


def _table(name: str) -> Callable[[str], Index]:
    return lambda i: f"{name}[{i}]"


def _formula(indices: Sequence[int]) -> Callable[[str], Index] | None:
    """The place of element i where a short expression says it: evenly spaced, repeated, or again from the start."""
    count, first = len(indices), indices[0]
    step = indices[1] - first if count > 1 else 0
    if count == 1:
        return lambda _: first
    if step > 0 and list(indices) == list(range(first, first + step * count, step)):
        return lambda i: _plus(i if step == 1 else f"{step} * {_atom(i)}", first)
    times = next((k for k, index in enumerate(indices) if index != first), count)
    if list(indices) == [first + k // times for k in range(count)]:
        return lambda i: _plus(f"{_atom(i)} / {times}", first)
    period = next((k for k in range(1, count) if indices[k] == first), count)
    if period < count and list(indices) == [first + k % period for k in range(count)]:
        return lambda i: _plus(f"{_atom(i)} % {period}", first)
    return None


def _atom(index: str) -> str:
    return index if index.isidentifier() else f"({index})"


def _plus(index: str, first: int) -> str:
    return f"{index} + {first}" if first else index


def needing(need: int, piece: Piece) -> str:
    """A piece of text where one that binds at least so tightly has to stand."""
    text, binds = piece
    return text if binds >= need else f"({text})"


__all__ = ["ATOM", "SUM", "TERM", "Index", "Operand", "array", "fixed", "needing", "part", "scalar"]
