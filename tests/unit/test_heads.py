"""Layers with heads: what a user sees of them, and their numbers against the block diagonal matrix written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.backend.agreement import engine, poisoned, threads
from tidegate.errors import InputError, TidegateWarning
from tidegate.nn import GRU, LSTM, Recurrent

DOUBLE = torch.float64


def written_out(layer: Recurrent) -> dict[str, Tensor]:
    """The parameters of a layer of one head that computes the same."""
    found = {name: value.detach().clone() for name, value in layer.named_parameters()}
    for name, weight in found.items():
        if "hh" in name and weight.dim() == 2:
            H, heads = layer.hidden_size, layer.options.heads
            own, width = H // heads, weight.shape[1]
            whole = weight.new_zeros(len(weight), width * heads)
            for row in range(len(weight)):
                head = row % H // own
                whole[row, head * width : (head + 1) * width] = weight[row]
            found[name] = whole
    return found


def outcome(layer: Recurrent, x: Tensor) -> list[Tensor]:
    y, last = layer(x)
    loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
    loss = loss + sum(state.square().sum() for state in (last if isinstance(last, tuple) else (last,)))
    return [y, *torch.autograd.grad(loss, [*layer.parameters(), x])]


@pytest.mark.parametrize(
    ("heads", "hidden", "batch", "count"),
    [(4, 256, 1, 1), (2, 192, 13, 2), (10, 240, 7, 1), (24, 24, 3, 1), (12, 96, 40, 3)],
)
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_a_layer_with_heads_is_the_one_with_a_block_diagonal_matrix(kind, heads, hidden, batch, count) -> None:
    torch.manual_seed(0)
    layer = kind(6, hidden, heads=heads, bidirectional=batch == 3, dtype=DOUBLE)
    whole = kind(6, hidden, bidirectional=batch == 3, dtype=DOUBLE)
    whole.load_state_dict(written_out(layer))
    x = torch.randn(9, batch, 6, dtype=DOUBLE, requires_grad=True)
    with engine(), poisoned(), threads(count):
        ours = outcome(layer, x)
    exact = outcome(whole, x)
    layer.weight_hh_l0.data.fill_(1)
    inside = written_out(layer)["weight_hh_l0"].bool()
    for own, right in zip(ours, exact, strict=True):
        right_here = right if own.shape == right.shape else right[inside].view_as(own)  # a gradient of U
        assert (own - right_here).abs().max() <= 1e-12 * right.abs().max()


def test_a_nan_stays_in_its_head() -> None:
    layer = LSTM(2, 48, heads=3)
    state = torch.zeros(1, 2, 48)
    state[..., 20] = float("nan")
    with engine():
        y, _ = layer(torch.randn(40, 2, 2), (state, torch.zeros(1, 2, 48)))
    assert y[..., 16:32].isnan().all()
    assert y[..., :16].isfinite().all()
    assert y[..., 32:].isfinite().all()


@pytest.mark.parametrize("wrong", [0, 2.0, True, "two"])
def test_what_is_no_number_of_heads_is_refused(wrong: object) -> None:
    with pytest.raises(InputError, match="heads must be an integer from 1 to 65536"):
        GRU(4, 8, heads=wrong)


def test_heads_that_do_not_divide_the_units_are_refused() -> None:
    with pytest.raises(InputError, match="3 heads cannot share the 8 units of U evenly"):
        GRU(4, 8, heads=3)


def test_heads_are_chosen_when_a_layer_is_made() -> None:
    with pytest.raises(InputError, match="heads gives parameters other shapes"):
        GRU(4, 8).with_options(heads=2)
    kept = GRU(4, 8, heads=2).with_options(zoneout=0.1)
    assert kept.options.heads == 2
    assert kept.weight_hh_l0.shape == (24, 4)


def test_a_cell_without_recurrent_matrix_says_that_heads_do_nothing() -> None:
    with pytest.warns(TidegateWarning, match="MinGRU has no recurrent matrix, so heads has no effect"):
        Recurrent("mingru", 4, 8, heads=2)
