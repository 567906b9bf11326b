"""A cell as a user writes it: the one that the README shows, which is the zoo's MGU under other names."""

from __future__ import annotations

from typing import Any

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
