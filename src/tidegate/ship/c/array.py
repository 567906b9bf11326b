"""Constant arrays of emitted C, of which equal ones are stored once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tidegate.errors import InputError

A_LINE = 8  # numbers; of short ones twice as many
TYPES = {"float32": "float", "int8": "int8_t", "int16": "int16_t", "int32": "int32_t"}
Floats = npt.NDArray[np.float64]


class Arrays:
    """The weights of one file, by name: float32, or whole numbers."""

    def __init__(self) -> None:
        self.values: dict[str, npt.NDArray[Any]] = {}
        self._known: dict[tuple[str, bytes], str] = {}

    def add(self, name: str, values: npt.NDArray[Any]) -> str:
        """Keep an array, and say what it is called: an equal one may be there already.

        Args:
            name: what it is called if it is new, and if no other one has this name.
            values: in the order in which they are read; float64, which is kept as float32, or a type of ``TYPES``.

        Raises:
            InputError: some of them are infinite, too large for float32, or not numbers.
        """
        array = narrowed(values, name) if values.dtype == np.float64 else values
        key = array.dtype.str, array.tobytes()
        known = self._known.setdefault(key, name)
        if known in self.values:
            if (self.values[known].dtype.str, self.values[known].tobytes()) == key:
                return known
            self._known[key] = known = self._free(name)
        self.values[known] = array
        return known

    def _free(self, name: str) -> str:
        while name in self.values:
            name += "_"
        return name

    @property
    def size(self) -> int:
        """Of all arrays, in bytes."""
        return sum(array.nbytes for array in self.values.values())

    def text(self) -> str:
        """Their definitions."""
        return "\n".join(
            f"static const {TYPES[v.dtype.name]} {n}[{len(v)}] = {listed(v)};" for n, v in self.values.items()
        )


def narrowed(values: Floats, name: str) -> npt.NDArray[np.float32]:
    """As float32, all finite.

    Raises:
        InputError: they are not.
    """
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise InputError(
            "C_WEIGHT",
            f"{name.replace('@', '')} has {int((~np.isfinite(single)).sum()):,} number(s) that float32 cannot hold",
            fix="train again: a layer with weights that are infinite or not numbers computes nothing",
        )
    return single


def listed(values: npt.NDArray[Any]) -> str:
    """Numbers in braces; nine digits name each float."""
    texts = [f"{value:.9g}" if isinstance(value, float) else str(value) for value in values.tolist()]
    if values.dtype.kind == "f":
        texts = [f"{text}f" if "." in text or "e" in text else f"{text}.0f" for text in texts]
    count = A_LINE if values.dtype.itemsize == 4 else 2 * A_LINE
    lines = [", ".join(texts[k : k + count]) for k in range(0, len(texts), count)]
    return "{\n    " + ",\n    ".join(lines) + "\n}"
