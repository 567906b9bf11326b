"""Cells as a user writes them: the one that the README shows, which is the zoo's MGU under other names, and an SRU."""

from __future__ import annotations

from typing import Any, ClassVar

from tidegate.cell import Cell, sigmoid, tanh

TWIN = "mgu"  # the cell of the zoo that computes the same


class OwnCell(Cell):
    """MGU with its gate called z: other names make another graph, so nothing kept for the zoo serves it."""

    gates = "z n"
    biases = "W"

    def step(self, x: Any, h: Any, U: Any) -> Any:
        z = sigmoid(x.z + U(h).z)
        n = tanh(x.n + U(z * h).n)
        return (1 - z) * h + z * n


class SRU(Cell):
    """A simple recurrent unit (Lei et al. 2018, arXiv 1709.02755), of which the zoo has none."""

    gates = "n f r"
    state = "h c"
    biases = "W"
    vectors = "v w"
    matrices: ClassVar[dict[str, str]] = {}
    input = "H"

    def step(self, x: Any, h: Any, c: Any, v: Any, w: Any) -> Any:
        n, f, r = x.n, sigmoid(x.f + v * c), sigmoid(x.r + w * c)
        c = f * c + (1 - f) * n
        h = r * c + (1 - r) * x.raw
        return h, c
