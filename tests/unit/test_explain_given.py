"""Explanations of layers that read time and what is missing."""

from __future__ import annotations

import pytest
import torch

import tidegate as tg
from tests.reference.given import Timed
from tidegate.errors import InputError
from tidegate.explain.probe import captured, probe

T, B, I, H = 7, 3, 2, 4


def case(**arguments):
    torch.manual_seed(0)
    layer = tg.nn.Recurrent(Timed, I, H, dtype=torch.float64, **arguments)
    x = torch.randn(T, B, I, dtype=torch.float64)
    return layer, x, {"dt": torch.rand(T, B, dtype=torch.float64), "m": (torch.rand(T, B, I) > 0.4).double()}


def test_a_step_reads_them_behind_the_input():
    layer, x, given = case()
    step = tg.explain.StepFunction(layer)
    assert (step.features, step.size) == (I + 1 + I, H + I)
    rows = torch.cat([x, given["dt"][..., None], given["m"]], -1)
    _, (call,) = captured(probe(layer), x, given=given)
    run = call.trajectory()
    assert torch.equal(run.x, rows)
    state = step.join(None, B)
    for t in range(T):
        assert torch.allclose(run.before[t], state, atol=1e-12)
        state = step(rows[t], state)
    assert torch.allclose(state[:, :H], layer(x, given=given)[0][-1], atol=1e-12)


def test_derivatives_of_a_step_are_those_of_torch():
    layer, x, given = case()
    step = tg.explain.StepFunction(layer)
    rows = torch.cat([x, given["dt"][..., None], given["m"]], -1)[3]
    state = torch.randn(B, step.size, dtype=torch.float64)
    by_state, by_input = step.derivatives(rows, state, of_input=True)
    with tg.runtime.eager_only():
        for n in range(B):
            wanted = torch.autograd.functional.jacobian(
                lambda r, s: step(r[None], s[None])[0], (rows[n], state[n]), vectorize=False
            )
            assert torch.allclose(by_input[n], wanted[0], atol=1e-10)
            assert torch.allclose(by_state[n], wanted[1], atol=1e-10)


@pytest.mark.parametrize("batch_first", [False, True])
def test_gradients_exponents_and_checks_pass_them_on(batch_first):
    layer, x, given = case(batch_first=batch_first)
    if batch_first:
        x, given = x.transpose(0, 1), {name: value.transpose(0, 1) for name, value in given.items()}
    flow = tg.explain.gradient_by_lag(layer, "last", x, given=given)
    assert flow.curves[0].lags == T
    assert tg.explain.lyapunov(layer, x, k=2, given=given).values.isfinite().all()
    assert tg.explain.check_chunks(layer, x, given=given).passed
    reset = torch.zeros(x.shape[:2], dtype=torch.bool)
    reset[(slice(None), 3) if batch_first else 3] = True
    assert tg.explain.check_resets(layer, x, reset, given=given).passed
    with pytest.raises(InputError, match="reads dt and m at every step, so it does not run by itself"):
        tg.explain.lyapunov(layer, x, k=2, given=given, free_running="zeros")
