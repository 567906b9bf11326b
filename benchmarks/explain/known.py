"""Systems whose exponents are known, as cells."""

from __future__ import annotations

import torch

from tidegate.cell import Cell
from tidegate.nn import Recurrent


class Henon(Cell):
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x (Hénon 1976); its input is not read."""

    gates = "h"
    state = "h b"
    matrices = {}  # noqa: RUF012
    biases = ""

    def step(self, x, h, b):
        h, b = 1 - 1.4 * h * h + b + 0 * x.h, 0.3 * h
        return h, b


class Linear(Cell):
    """h' = W x + U h"""

    gates = "h"
    biases = ""

    def step(self, x, h, U):
        h = x.h + U(h).h
        return h  # noqa: RET504  its name is what a trace reports


def linear(matrix: torch.Tensor) -> Recurrent:
    layer = Recurrent(Linear, 1, len(matrix), dtype=torch.float64)
    layer.weight_hh_l0.data.copy_(matrix)
    return layer
