"""Cells that read time and what is missing against the equations of their papers, forward and every gradient."""

from __future__ import annotations

import pytest
import torch

from tests.reference import tolerance
from tests.reference.compare import assert_equal
from tests.reference.irregular import TIMED, unrolled
from tidegate.nn import Recurrent
from tidegate.runtime import eager_only
from tidegate.zoo import CELLS

I = 3
every_cell = pytest.mark.parametrize("cell", TIMED)


def test_every_cell_that_is_given_something_is_here():
    assert {name for name, cell in CELLS.items() if cell.graph.given} == set(TIMED)


def drawn(cell, T, B, H, *, scale=1.0):
    """A layer, its parameters as leaves, input, states and what is given; gaps are not below 0."""
    torch.manual_seed(T + 10 * B + 100 * H)
    ref = TIMED[cell]
    layer = Recurrent(CELLS[cell], I, H, dtype=torch.float64, widths=ref.widths(H))
    p = {name: ((2 * torch.rand(shape) - 1) / H**0.5).double() for name, shape in ref.shapes(I, H).items()}
    layer.load_state_dict({f"{name}_l0": value for name, value in p.items()})
    leaves = {name: value.requires_grad_() for name, value in p.items()}
    states = [torch.randn(B, width, dtype=torch.float64) for width in ref.states(I, H)]
    if cell == "grud":
        states[2] = states[2].abs()
    leaves |= {f"state{k}": state.requires_grad_() for k, state in enumerate(states)}
    leaves["x"] = (scale * torch.randn(T, B, I, dtype=torch.float64)).requires_grad_()
    beside = {"dt": 3 * torch.rand(T, B, 1).double(), "m": (torch.rand(T, B, I) > 0.4).double()}
    return layer, leaves, {name: beside[name] for name in ref.given}


def found(leaves, y, last, wanted):
    """Results and the gradients of a sum that weighs each of them by a number of its own."""
    torch.manual_seed(1)
    loss = sum((value * torch.randn_like(value)).sum() for value in (y, *last))
    grads = torch.autograd.grad(loss, wanted)
    results = {"y": y, **{f"last {k}": value for k, value in enumerate(last)}}
    return {k: v.detach() for k, v in (results | {f"d {n}": g for n, g in zip(leaves, grads, strict=True)}).items()}


def by_paper(cell, leaves, given):
    states = tuple(value for name, value in leaves.items() if name.startswith("state"))
    y, last = unrolled(TIMED[cell], leaves, leaves["x"], states, given)
    return found(leaves, y, last, list(leaves.values()))


def by_layer(layer, leaves, given):
    first = tuple(value[None] for name, value in leaves.items() if name.startswith("state"))
    y, last = layer(leaves["x"], first if len(first) > 1 else first[0], given=given)
    last = [state[0] for state in (last if isinstance(last, tuple) else (last,))]
    own = dict(layer.named_parameters())
    return found(leaves, y, last, [own.get(f"{name}_l0", value) for name, value in leaves.items()])


@every_cell
@pytest.mark.parametrize(("T", "B", "H"), [(1, 1, 1), (2, 3, 64), (31, 3, 17)])
def test_forward_and_gradients(cell, T, B, H):
    layer, leaves, given = drawn(cell, T, B, H)
    expected = by_paper(cell, leaves, given)
    assert_equal(by_layer(layer, leaves, given), expected)
    assert layer.last_path == "fused"
    with eager_only():
        assert_equal(by_layer(layer, leaves, given), expected)


@every_cell
def test_saturating_input(cell):
    layer, leaves, given = drawn(cell, 31, 3, 17, scale=50)
    assert_equal(by_layer(layer, leaves, given), by_paper(cell, leaves, given), floor=tolerance.SATURATED_FLOOR)


def test_a_missing_value_is_not_read():
    layer, leaves, given = drawn("grud", 7, 2, 5)
    other = {**leaves, "x": torch.where(given["m"] == 1, leaves["x"], 1e6)}
    with torch.no_grad():
        ours, theirs = (layer(part["x"], given=given)[0] for part in (leaves, other))
    assert torch.equal(ours, theirs)
