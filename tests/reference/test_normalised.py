"""Layers with layer norm against the equations of the paper, forward and every gradient."""

from unittest import mock

import pytest
import torch

from tests.reference import measure, normalised, tolerance
from tests.reference.compare import FEATURES, assert_as_exact, assert_equal, by_layer, by_reference, draw, layer_of
from tests.reference.normalised import NORMALISED, standard, standard_back

every_cell = pytest.mark.parametrize("cell", NORMALISED)
FEWEST = 3  # of two units a norm leaves their signs alone, and gradients of rounding errors


@every_cell
def test_parameters(cell):
    found = {name: tuple(value.shape) for name, value in layer_of(draw(cell, 1, 1, 3)).named_parameters()}
    assert found == NORMALISED[cell].shapes(FEATURES, 3)


@every_cell
@pytest.mark.parametrize(("T", "B", "H"), measure.SOME)
def test_forward_and_gradients(cell, T, B, H):
    for case in measure.plain(cell, T, B, max(H, FEWEST)):
        assert_equal(by_layer(case), by_reference(case))


@every_cell
def test_saturating_input_that_is_not_contiguous(cell):
    for case in (measure.saturated(cell, 2, 3, 64), measure.not_contiguous(cell, 63, 3, 17)):
        assert_equal(by_layer(case), by_reference(case), floor=tolerance.SATURATED_FLOOR)


@every_cell
def test_first_and_second_derivatives_equal_differences(cell):
    assert measure.gradients_check(cell, fast=True, width=3)


@every_cell
def test_float32_is_as_exact_as_torchs(cell):
    from tidegate.runtime import eager_only

    case = draw(cell, 20, 4, 150)
    single = type(case)(
        case.cell,
        {name: value.float() for name, value in case.params.items()},
        *(case.x.float(), tuple(s.float() for s in case.states), case.dy.float(), tuple(d.float() for d in case.dlast)),
    )
    exact = by_reference(
        type(case)(
            case.cell,
            {name: value.double() for name, value in single.params.items()},
            *(single.x.double(), tuple(s.double() for s in single.states)),
            *(single.dy.double(), tuple(d.double() for d in single.dlast)),
        )
    )
    ours = by_layer(single)
    with eager_only():
        theirs = by_layer(single)
    assert_as_exact(ours, theirs, exact)


def test_the_gradient_of_a_norm_by_hand_equals_autograd():
    v, dy = (torch.randn(3, 7, dtype=torch.float64) for _ in range(2))
    leaf = v.requires_grad_()
    (found,) = torch.autograd.grad(standard(leaf), leaf, dy)
    assert_equal({"dv": standard_back(v.detach(), dy)}, {"dv": found})


@every_cell
def test_a_reference_without_the_mean_is_told_apart(cell):
    def planted(v):
        return v / torch.sqrt((v**2).mean(-1, keepdim=True) + normalised.EPSILON)

    case = draw(cell, 3, 2, 17)
    with mock.patch.object(normalised, "standard", planted), pytest.raises(AssertionError, match="y off by"):
        assert_equal(by_layer(case), by_reference(case))
