"""Layers with heads: what a user sees of them, and their numbers against the block diagonal matrix written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.backend.agreement import engine, poisoned, threads
from tidegate import Session, convert, explain, zoo
from tidegate.errors import InputError, TidegateWarning
from tidegate.explain.change import can_shrink
from tidegate.nn import GRU, LSTM, Recurrent, RecurrentCell
from tidegate.passes import split_into_heads
from tidegate.runtime import eager_only

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


def test_the_input_may_be_read_in_heads_too() -> None:
    torch.manual_seed(0)
    layer = Recurrent(split_into_heads(zoo.GRU.graph, 3, ["W", "U"]), 36, 96, dtype=DOUBLE)
    x = torch.randn(20, 5, 36, dtype=DOUBLE, requires_grad=True)
    with engine(), poisoned():
        ours = outcome(layer, x)
    with eager_only():
        exact = outcome(layer, x)
    assert layer.weight_ih_l0.shape == (288, 12)
    for own, right in zip(ours, exact, strict=True):
        assert (own - right).abs().max() <= 1e-12 * right.abs().max()


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


def test_each_head_begins_orthogonal() -> None:
    layer = LSTM(3, 24, heads=3, orthogonal=True, dtype=DOUBLE)
    for block in layer.weight_hh_l0.view(12, 8, 8):
        torch.testing.assert_close(block @ block.T, torch.eye(8, dtype=DOUBLE))


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


@pytest.mark.parametrize("cell", ["lstm", "gru/before", "slstm"])
def test_steps_of_a_cell_are_those_of_the_layer(cell: str) -> None:
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 12, heads=3, dtype=DOUBLE)
    step = RecurrentCell(cell, 3, 12, heads=3, dtype=DOUBLE)
    step.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = torch.randn(7, 2, 3, dtype=DOUBLE)
    y, _ = layer(x)
    states = None
    for row, expected in zip(x, y, strict=True):
        states = step(row, states)
        h = states[0] if isinstance(states, tuple) else states
        torch.testing.assert_close(h, expected, rtol=1e-12, atol=1e-14)
    assert "heads=3" in repr(step)
    with pytest.raises(InputError, match="heads must be"):
        RecurrentCell(cell, 3, 12, heads=0)


@pytest.mark.parametrize("weights", ["float32", "bfloat16"])
def test_a_session_has_heads_too(weights: str) -> None:
    torch.manual_seed(0)
    layer = LSTM(5, 96, heads=4)
    whole = LSTM(5, 96)
    whole.load_state_dict(written_out(layer))
    x = torch.randn(12, 3, 5)
    ours, dense = (Session(one, 3, weights=weights).run(x) for one in (layer, whole))
    torch.testing.assert_close(ours, dense, rtol=1e-5, atol=1e-6)


def test_what_torch_holds_is_the_matrix_written_out_and_comes_back() -> None:
    layer, again = LSTM(3, 12, heads=3), LSTM(3, 12, heads=3)
    arrays = convert.dump(layer, "torch")
    torch_layer = torch.nn.LSTM(3, 12)
    torch_layer.load_state_dict({name: torch.as_tensor(value) for name, value in arrays.items()})
    x = torch.randn(4, 2, 3)
    torch.testing.assert_close(torch_layer(x)[0], layer(x)[0])
    convert.load(again, "torch", arrays)
    assert torch.equal(again(x)[0], layer(x)[0])
    with pytest.raises(InputError, match="U of LSTM has 3 heads, but units of the matrix to be loaded see other heads"):
        convert.load(again, "torch", torch.nn.LSTM(3, 12).state_dict())


def test_a_jacobian_is_that_of_the_step_and_units_are_not_taken_out_one_by_one() -> None:
    torch.manual_seed(0)
    layer = GRU(3, 12, heads=3, dtype=DOUBLE)
    x, h = torch.randn(3, dtype=DOUBLE), torch.randn(12, dtype=DOUBLE)

    def step(state: Tensor) -> Tensor:
        return layer(x[None, None], state[None, None])[0].flatten()

    with eager_only():
        exact = torch.autograd.functional.jacobian(step, h)
    torch.testing.assert_close(explain.jacobian(layer, x, h), exact, rtol=1e-11, atol=1e-12)
    assert not can_shrink(layer)
    assert can_shrink(GRU(3, 12))


@pytest.mark.parametrize(
    "options",
    [
        {"layer_norm": True, "proj_size": 6},
        {
            "zoneout": 0.1,
            "recurrent_dropout": 0.2,
            "weight_dropout": 0.1,
            "learn_initial_state": True,
            "state_clip": 1.0,
        },
    ],
    ids=str,
)
def test_heads_go_with_other_options(options: dict) -> None:
    layer = LSTM(3, 12, heads=3, dtype=DOUBLE, **options)
    x = torch.randn(8, 2, 3, dtype=DOUBLE, requires_grad=True)
    found = []
    for run in (engine, eager_only):
        torch.manual_seed(1)  # of masks
        with run():
            found.append(outcome(layer, x))
    for own, right in zip(*found, strict=True):
        torch.testing.assert_close(own, right, rtol=1e-9, atol=1e-12)


def test_heads_exclude_a_low_rank() -> None:
    with pytest.raises(InputError, match="heads and rank exclude each other"):
        LSTM(3, 12, heads=3, rank=2)
