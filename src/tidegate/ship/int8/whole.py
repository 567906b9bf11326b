"""Arithmetic on whole numbers of 32 bits, as C and NumPy both do it: a number v stands for v / 2^fraction.

Every function here has a twin in ``ship/c/int8.py`` that gives the same integers. An expression is a tree of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Wholes = npt.NDArray[np.int64]

ONE = 15  # bits behind the point of a gate: 1 is 32768
SHORT = 32767  # the largest number of 16 bits
_FINE, _COARSE = 9, 13  # bits of v between two entries of the table, below and above half of its range
_MIDDLE, _END = 1 << 17, 1 << 18  # where tanh(v / 2^15) is 0.9993, and where it is 1


def _table() -> Wholes:
    """tanh(v / 2^15) 2^15 from v = 0 on: 32 entries for each unit of 2v / 2^15 up to 8, and two up to 16."""
    places = np.concatenate([np.arange(0, _MIDDLE, 1 << _FINE), np.arange(_MIDDLE, _END + 1, 1 << _COARSE)])
    return np.rint(np.tanh(places / 2.0**ONE) * 2.0**ONE).astype(np.int64)


TANH_TABLE = _table()


def rounded(v: Any, bits: int) -> Any:
    """To the nearest of v / 2^bits, halves up."""
    return (v + (1 << (bits - 1))) >> bits


def narrowed(v: Any, most: int) -> Any:
    """The nearest number to v that is no further from zero than ``most``."""
    return np.clip(v, -most, most)


def tanh(v: Any) -> Any:
    """By straight lines between the entries of a table: 2^15 times the tangent of v / 2^15, off by 1.6 at most."""
    size = np.minimum(np.abs(v), _END - 1)
    fine = size < _MIDDLE
    at = np.where(fine, size >> _FINE, (_MIDDLE >> _FINE) + ((size - _MIDDLE) >> _COARSE))
    bits = np.where(fine, _FINE, _COARSE)
    beyond = size & ((1 << bits) - 1)
    low = TANH_TABLE[at]
    value = low + (((TANH_TABLE[at + 1] - low) * beyond + (1 << (bits - 1))) >> bits)
    return np.where(np.asarray(v) < 0, -value, value)


def sigmoid(v: Any) -> Any:
    """By the same table, as a sigmoid is half of 1 + tanh of half: 2^15 times that of v / 2^14."""
    return (tanh(v) + (1 << ONE) + 1) >> 1


@dataclass(frozen=True)
class Whole:
    """An expression.

    Attributes:
        does: a key of ``ARITHMETIC``, ``"value"`` for that of a node, or ``"number"``.
        args: what it is computed from.
        number: the number, the node, or the bits or the limit of a function that has one.
    """

    does: str
    args: tuple[Whole, ...] = ()
    number: int = 0


ARITHMETIC: Mapping[str, Callable[..., Any]] = {
    "add": lambda _, a, b: a + b,
    "subtract": lambda _, a, b: a - b,
    "multiply": lambda _, a, b: a * b,
    "negate": lambda _, a: -a,
    "larger": lambda _, a, b: np.maximum(a, b),
    "smaller": lambda _, a, b: np.minimum(a, b),
    "rounded": lambda bits, a: rounded(a, bits),
    "raised": lambda bits, a: a * (1 << bits),
    "narrowed": lambda most, a: narrowed(a, most),
    "tanh": lambda _, a: tanh(a),
    "sigmoid": lambda _, a: sigmoid(a),
}


def computed(tree: Whole, values: Mapping[int, Any]) -> Any:
    """What an expression is worth.

    Args:
        tree: the expression.
        values: of the nodes that it reads.

    Raises:
        OverflowError: a number is larger than the plan of a cell allows any to be.
    """
    if tree.does == "number":
        return np.int64(tree.number)
    if tree.does == "value":
        return values[tree.number]
    result = ARITHMETIC[tree.does](tree.number, *(computed(arg, values) for arg in tree.args))
    if np.any(np.abs(result) > 2**30):
        raise OverflowError(f"{tree.does} gives a number that leaves no room in 32 bits")
    return result


def product(weights: Wholes, scale: Wholes, x: Wholes) -> Wholes:
    """What a call adds onto its sums: ``scale (w x) / 2^16``, rounded down.

    Args:
        weights: ``[rows, columns]``.
        scale: of each row.
        x: ``[batch, columns]``.
    """
    sums = (x.astype(np.float64) @ weights.T.astype(np.float64)).astype(np.int64)  # exact below 2^53, and quick
    return sums * scale >> 16


def arguments(tree: Whole) -> Sequence[int]:
    """The nodes that an expression reads."""
    return [tree.number] if tree.does == "value" else [i for arg in tree.args for i in arguments(arg)]
