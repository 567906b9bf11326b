"""Layers drawn at random against equations written by hand. benchmarks/fuzz_layers.py draws thousands."""

import pytest
import torch

from tests.reference import drawn
from tidegate.nn import GRU, RNN
from tidegate.runtime import eager_only

MANY = 40


def test_drawn_layers_agree_with_the_equations():
    """Without those options that need compilations of seconds each, which test_option.py has."""
    verdicts = {seed: drawn.judge(seed, options=False) for seed in range(MANY)}
    assert {seed: verdict for seed, verdict in verdicts.items() if verdict != ("right", "")} == {}


@pytest.mark.parametrize("name", ["y", "last h", "d x", "d weight_hh_l0"])
def test_the_comparison_finds_an_error_of_a_millionth(name):
    seed = next(seed for seed in range(99) if small(drawn.draw(seed, options=False)))
    configuration = drawn.draw(seed, options=False)
    problem = drawn.problem_of(configuration)
    ours, masks = drawn.by_layer(configuration, problem)
    exact = drawn.by_hand(configuration, problem, masks, torch.Tensor.double)
    noisy = drawn.by_hand(configuration, problem, masks, drawn.nearby(seed, torch.float64))
    assert drawn.wrong(name, ours[name], exact[name], [noisy[name]], torch.float64) == ""
    assert "is off by" in drawn.wrong(name, ours[name] * (1 + 1e-6), exact[name], [noisy[name]], torch.float64)
    poisoned = ours[name] + torch.nan
    assert "is not finite" in drawn.wrong(name, poisoned, exact[name], [noisy[name]], torch.float64)


def small(configuration: drawn.Drawn) -> bool:
    plain = not configuration.special and configuration.frozen == 0 and configuration.memory == "plain"
    return plain and configuration.dtype == torch.float64 and configuration.B > 1 and configuration.T > 1


@pytest.mark.parametrize("make", [lambda: RNN(2, 3, nonlinearity="relu"), lambda: GRU(2, 3, state_clip=1.0)])
def test_gradients_of_a_nan_are_those_of_torch(make):
    layer, x = make(), torch.randn(3, 2, 2)
    x[1, 0, 0] = torch.nan

    def gradients():
        leaf = x.clone().requires_grad_()
        y, _ = layer(leaf)
        return [y, *torch.autograd.grad(y[:, 1].sum() + y[0].sum() + y[2].nan_to_num().sum(), [leaf])]

    ours = gradients()
    with eager_only():
        torch.testing.assert_close(ours, gradients(), equal_nan=True)
