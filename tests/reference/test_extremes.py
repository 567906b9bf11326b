"""Cells that compute with exponentials and their logarithms, where those leave the range of float32 or of float64."""

import math

import pytest
import torch

import tidegate as tg
from tests.reference.compare import draw, layer_of, relative_error

FORGET = {"slstm": torch.sigmoid, "slstm/exp": torch.exp}
every_slstm = pytest.mark.parametrize("cell", FORGET)
every_size = pytest.mark.parametrize("scale", [1e2, 1e4, 1e8])


def unstabilised(p, forget, x):
    """Beck et al. 2024 before they divide by exp(m)."""
    h = c = n = torch.zeros(x.shape[1], p["weight_hh_l0"].shape[1], dtype=x.dtype)
    outputs = []
    for x_t in x:
        i, f, z, o = (x_t @ p["weight_ih_l0"].T + p["bias_ih_l0"] + h @ p["weight_hh_l0"].T).chunk(4, -1)
        c = forget(f) * c + torch.exp(i) * torch.tanh(z)
        n = forget(f) * n + torch.exp(i)
        h = torch.sigmoid(o) * c / n
        outputs.append(h)
    return torch.stack(outputs)


def both_types(layer, x):
    """Output, states and gradients in the layer's float64 and by the engine in float32."""
    found = []
    for dtype in (torch.float64, torch.float32):
        own = tg.nn.Recurrent(layer.graph, layer.input_size, layer.hidden_size, dtype=dtype)
        own.load_state_dict(layer.state_dict())
        leaf = x.to(dtype).detach().requires_grad_()
        with tg.strict():
            y, state = own(leaf)
        states = state if isinstance(state, tuple) else (state,)
        y.sum().backward()
        results = {"y": y.detach(), **{f"last {k}": s.detach() for k, s in enumerate(states)}}
        found.append(results | {"d x": leaf.grad} | {f"d {name}": p.grad for name, p in own.named_parameters()})
    return found


@every_slstm
@pytest.mark.parametrize("T", [1, 40])
def test_the_stabiliser_changes_no_output(cell, T):
    case = draw(cell, T, 3, 7, given=False)
    assert relative_error(layer_of(case)(case.x)[0], unstabilised(case.params, FORGET[cell], case.x)) < 1e-12


@every_slstm
def test_the_comparison_finds_a_stabiliser_that_acts(cell):
    case = draw(cell, 40, 3, 7, given=False)
    wrong = unstabilised(case.params, lambda f: FORGET[cell](f + 1e-6), case.x)
    assert relative_error(layer_of(case)(case.x)[0], wrong) > 1e-9


@every_slstm
@every_size
@pytest.mark.parametrize("sign", [1, -1])
def test_an_slstm_stays_finite_and_right_at_huge_inputs(cell, scale, sign):
    case = draw(cell, 30, 3, 17, given=False)
    exact, ours = both_types(layer_of(case), sign * scale * case.x.abs())
    assert all(torch.isfinite(value).all() for value in ours.values())
    assert relative_error(ours["y"].double(), exact["y"], floor=1.0) < scale * 2**-22  # that of sums of this size


@every_slstm
def test_an_slstm_stays_finite_over_thousands_of_steps(cell):
    case = draw(cell, 2000, 2, 17, given=False, scale=10.0)
    exact, ours = both_types(layer_of(case), case.x)
    assert all(torch.isfinite(value).all() for value in ours.values())
    for result in ("y", "d x"):
        assert relative_error(ours[result].double(), exact[result], floor=1.0) < 1e-3
    assert ours["last 2"].min() >= 1


@every_slstm
def test_a_first_step_far_below_zero_fills_the_memory(cell):
    """Were m to begin with 0, the first input gate would be exp(-1000), and the output 0 / 0."""
    layer = tg.nn.Recurrent(cell, 1, 4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[:4] = -1000.0
        layer.bias_ih_l0[8:12] = 1.0
    y, (_, c, n, m) = layer(torch.zeros(3, 1, 1), reset=torch.tensor([[False], [False], [True]]))
    torch.testing.assert_close(y, torch.full_like(y, 0.5 * math.tanh(1.0)))
    torch.testing.assert_close(c / n, torch.full_like(c, math.tanh(1.0)))
    assert torch.equal(m, torch.full_like(m, -1000.0))


@every_size
def test_a_min_lstm_shares_between_gates_that_are_both_too_small_to_divide(scale):
    case = draw("minlstm", 30, 3, 17, given=False)
    exact, ours = both_types(layer_of(case), -scale * case.x.abs())
    assert all(torch.isfinite(value).all() for values in (exact, ours) for value in values.values())
    layer = tg.nn.Recurrent("minlstm", 1, 4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[:8] = -scale
        layer.bias_ih_l0[8:] = 2.0
    half_of_the_way_each = torch.tensor([1.0, 1.5])
    torch.testing.assert_close(layer(torch.zeros(2, 1, 1))[0][:, 0, 0], half_of_the_way_each)
