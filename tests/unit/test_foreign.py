"""A step that calls another library is refused when the cell is defined."""

import numpy as np
import pytest
import torch

from tidegate.cell import Cell
from tidegate.errors import SpecError

CALLS = {
    "torch.tanh(v)": torch.tanh,
    "torch.sigmoid(v)": torch.sigmoid,
    "tensor * v": lambda v: torch.ones(3) * v,
    "v * tensor": lambda v: v * torch.ones(3),
    "torch.cat([v, v])": lambda v: torch.cat([v, v]),
    "np.tanh(v)": np.tanh,
    "np.asarray(v)": np.asarray,
    "array * v": lambda v: np.ones(3) * v,
    "v * array": lambda v: v * np.ones(3),
    "np.float64(2) * v": lambda v: np.float64(2) * v,
    "np.concatenate([v, v])": lambda v: np.concatenate([v, v]),
}


def refusal(call: str) -> SpecError:
    """The error of a cell whose step makes this call."""

    def step(self, x, h, U):
        n = CALLS[call](x.n + U(h).n)
        return n  # noqa: RET504  a gate is a local name

    with pytest.raises(SpecError) as caught:
        type("Broken", (Cell,), {"gates": "n", "step": step})
    return caught.value


@pytest.mark.parametrize("call", CALLS)
def test_it_is_refused_with_the_line(call):
    assert "n = CALLS[call](x.n + U(h).n)" in refusal(call).message


@pytest.mark.parametrize("call", CALLS)
def test_it_is_refused_with_a_remedy(call):
    assert refusal(call).fix
