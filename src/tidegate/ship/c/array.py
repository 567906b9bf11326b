"""Constant arrays of emitted C, of which equal ones are stored once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tidegate.errors import InputError

A_LINE = 8  # numbers
Floats = npt.NDArray[np.float64]


class Arrays:
    """The weights of one file, by name, as float32."""

    def __init__(self) -> None:
        self.values: dict[str, npt.NDArray[np.float32]] = {}
        self._known: dict[bytes, str] = {}

    def add(self, name: str, values: Floats) -> str:
        """Keep an array, and say what it is called: an equal one may be there already.

        Args:
            name: what it is called if it is new, and if no other one has this name.
            values: in the order in which they are read.

        Raises:
            InputError: some of them are infinite, too large for float32, or not numbers.
        """
        single = narrowed(values, name)
        known = self._known.setdefault(single.tobytes(), name)
        if known in self.values:
            if self.values[known].tobytes() == single.tobytes():
                return known
            self._known[single.tobytes()] = known = self._free(name)
        self.values[known] = single
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
        return "\n".join(f"static const float {name}[{len(v)}] = {listed(v)};" for name, v in self.values.items())


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


def listed(values: npt.NDArray[np.float32]) -> str:
    """Numbers in braces; nine digits name each float."""
    texts = [f"{value:.9g}" for value in values.tolist()]
    texts = [f"{text}f" if "." in text or "e" in text else f"{text}.0f" for text in texts]
    lines = [", ".join(texts[k : k + A_LINE]) for k in range(0, len(texts), A_LINE)]
    return "{\n    " + ",\n    ".join(lines) + "\n}"
