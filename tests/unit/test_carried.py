"""Weights carried over from one layer to another: found in any order of gates, and refused where equations differ."""

import pytest
import torch
from benchmarks.lean.carried import Carried

from tidegate.nn import Recurrent


class Turned(torch.nn.Module):
    """A layer whose gates stand in another order, and whose update gate is the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_ih, self.bias_ih = (torch.nn.Parameter(torch.zeros(18, *n)) for n in ((6,), ()))
        self.weight_hh, self.bias_hh = (torch.nn.Parameter(torch.zeros(18, *n)) for n in ((6,), ()))

    def forward(self, x):
        h, outputs = torch.zeros(x.shape[1], 6, dtype=x.dtype), []
        for row in x:
            (xn, xr, xw), (hn, hr, hw) = (row @ self.weight_ih.T + self.bias_ih).chunk(3, 1), self._of(h)
            write = torch.sigmoid(xw + hw)
            h = (1 - write) * h + write * torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            outputs.append(h)
        return torch.stack(outputs), h

    def _of(self, h):
        return (h @ self.weight_hh.T + self.bias_hh).chunk(3, 1)


def test_weights_are_carried_over_whatever_the_order_of_gates() -> None:
    assert Carried(torch.nn.GRU(6, 6), Recurrent("gru", 6, 6)).error() < 1e-14
    assert Carried(Turned(), Recurrent("gru", 6, 6)).error() < 1e-14


@pytest.mark.parametrize("cell", ["gru/before", "mgu"])
def test_other_equations_are_not_taken_for_the_same(cell) -> None:
    assert Carried(torch.nn.GRU(6, 6), Recurrent(cell, 6, 6)).error() is None
